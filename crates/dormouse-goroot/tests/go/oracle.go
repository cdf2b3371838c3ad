// Oracle says which files belong to a build, for any number of builds: go/build's MatchFile.
//
// Its arguments are a directory and pairs GOOS/GOARCH; its standard input has the paths of files below the directory, one a line. For each pair,
// without cgo and with it, it writes the tags that go with it as JSON, and a line with a letter for each file: y, n, or e
// for an error.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"go/build"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	var paths []string
	texts := map[string][]byte{}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		path := filepath.Join(os.Args[1], lines.Text())
		// What cannot be read, a link to a directory for example, is an error if it is asked for.
		if text, err := os.ReadFile(path); err == nil {
			texts[path] = text
		}
		paths = append(paths, path)
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, pair := range os.Args[2:] {
		for _, cgo := range []bool{false, true} {
			context := build.Default
			context.GOOS, context.GOARCH, _ = strings.Cut(pair, "/")
			context.CgoEnabled = cgo
			context.OpenFile = func(path string) (io.ReadCloser, error) {
				text, ok := texts[path]
				if !ok {
					return nil, os.ErrNotExist
				}
				return io.NopCloser(bytes.NewReader(text)), nil
			}
			json.NewEncoder(out).Encode(map[string]any{
				"Compiler":    context.Compiler,
				"ToolTags":    context.ToolTags,
				"ReleaseTags": context.ReleaseTags,
			})
			for _, path := range paths {
				switch match, err := context.MatchFile(filepath.Split(path)); {
				case err != nil:
					out.WriteByte('e')
				case match:
					out.WriteByte('y')
				default:
					out.WriteByte('n')
				}
			}
			out.WriteByte('\n')
		}
	}
}
