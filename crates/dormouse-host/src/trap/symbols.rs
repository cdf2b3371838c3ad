//! Symbols. A backtrace's frames with functions, files and lines, by the debug information (DWARF) in the program's own bytes.
//!
//! They are looked at after a trap only. wasmtime would keep a copy with the code: 13 MB of a debug build's 20, which each start
//! would have to unpack from the cache.

use addr2line::Context;
use addr2line::gimli::{Dwarf, EndianSlice, Error, LittleEndian, SectionId};
use wasmparser::{Encoding, Parser, Payload};
use wasmtime::FrameInfo;

/// A function that a frame is in. A frame has several where calls were inlined, the innermost first.
pub(super) struct Symbol {
    pub(super) function: Option<String>,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) column: Option<u32>,
}

/// What a frame is in, by wasmtime or else by `program`, which is what was compiled.
pub(super) fn of(frame: &FrameInfo, program: Option<&[u8]>) -> Vec<Symbol> {
    let known = frame.symbols().iter().map(|symbol| Symbol {
        function: symbol.name().map(str::to_owned),
        file: symbol.file().map(str::to_owned),
        line: symbol.line(),
        column: symbol.column(),
    });
    let known: Vec<Symbol> = known.collect();
    match (known.is_empty(), program, frame.module_offset()) {
        // What cannot be read is not shown: a program may have anything in its custom sections.
        (true, Some(program), Some(offset)) => looked_up(program, offset).unwrap_or_default(),
        _ => known,
    }
}

/// `offset` is one in the program, which may be a component with several modules.
fn looked_up(program: &[u8], offset: usize) -> Option<Vec<Symbol>> {
    let (dwarf, code) = debug_information(program, offset)?;
    let context = Context::from_dwarf(dwarf).ok()?;
    // Addresses are relative to the code section.
    let mut frames = context.find_frames((offset - code) as u64).skip_all_loads().ok()?;
    let mut symbols = Vec::new();
    while let Ok(Some(frame)) = frames.next() {
        let location = frame.location.as_ref();
        symbols.push(Symbol {
            function: frame.function.and_then(|name| name.raw_name().ok().map(|name| name.into_owned())),
            file: location.and_then(|location| location.file).map(str::to_owned),
            line: location.and_then(|location| location.line),
            column: location.and_then(|location| location.column),
        });
    }
    Some(symbols)
}

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// The debug information of the module that has code at `offset`, and where that module's code section begins.
fn debug_information(program: &[u8], offset: usize) -> Option<(Dwarf<Bytes<'_>>, usize)> {
    let (mut sections, mut code) = (Vec::new(), None);
    for payload in Parser::new(0).parse_all(program) {
        match payload.ok()? {
            Payload::Version { encoding: Encoding::Module, .. } => sections.clear(),
            Payload::CodeSectionStart { range, .. } if range.contains(&offset) => code = Some(range.start),
            Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                sections.push((section.name(), section.data()));
            }
            Payload::End(_) if code.is_some() => break,
            _ => {}
        }
    }
    let named = |id: SectionId| {
        let section = sections.iter().find(|(name, _)| *name == id.name());
        Ok::<_, Error>(EndianSlice::new(section.map_or(&[][..], |(_, data)| data), LittleEndian))
    };
    Some((Dwarf::load(named).ok()?, code?))
}
