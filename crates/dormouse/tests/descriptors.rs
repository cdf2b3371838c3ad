//! A task that reads or writes a descriptor is parked, and the others run on: standard input, pipes, devices, files.

use std::io::ErrorKind;
use std::time::Duration;

use dormouse::fs::File;
use dormouse::io;
use dormouse::spawn;
use dormouse::time::sleep;

#[dormouse::test]
async fn an_error_says_what_was_opened() {
    let error = File::open("no/such/file").await.unwrap_err();
    assert!(error.to_string().starts_with("open no/such/file: "), "{error}");
    let error = File::create("no/such/file").await.unwrap_err();
    assert!(error.to_string().starts_with("create no/such/file: "), "{error}");
    // A guest that has no directory is told so instead.
    if cfg!(not(target_family = "wasm")) {
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

/// Whatever standard input is here. On Windows it cannot be asked.
#[cfg(not(windows))]
#[dormouse::test]
async fn reading_standard_input_stops_nobody() {
    let reader = spawn(async { io::stdin().read(&mut [0; 1]).await });
    sleep(Duration::from_millis(5)).await;
    reader.abort();
}

#[cfg(not(windows))]
#[dormouse::test]
async fn an_empty_read_of_standard_input_is_at_once() {
    assert_eq!(io::stdin().read(&mut []).await.unwrap(), 0);
}

/// Guests are not given a directory by `cargo test`.
#[cfg(not(target_family = "wasm"))]
mod files {
    use super::*;

    use std::path::{Path, PathBuf};

    use dormouse::io::SeekFrom;
    use futures_lite::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

    /// A directory, for as long as the test runs.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("dormouse-{}-{test}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Scratch(path)
        }
    }

    impl std::ops::Deref for Scratch {
        type Target = Path;

        fn deref(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[dormouse::test]
    async fn a_file_is_written_and_read() {
        let dir = Scratch::new("written");
        let path = dir.join("file");
        let file = File::create(&path).await.unwrap();
        assert_eq!(file.write(b"hello").await.unwrap(), 5);
        (&file).write_all(b", file").await.unwrap();
        file.flush().await.unwrap();
        file.sync_all().await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 11);

        let mut file = File::open(&path).await.unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello, file");
        assert_eq!(file.read(&mut [0; 8]).await.unwrap(), 0);
    }

    #[dormouse::test]
    async fn seeks_are_std_s() {
        let dir = Scratch::new("seeks");
        let path = dir.join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        let mut file = File::open(&path).await.unwrap();
        let mut byte = [0];
        assert_eq!(file.seek(SeekFrom::Start(3)).await.unwrap(), 3);
        assert_eq!((file.read(&mut byte).await.unwrap(), &byte), (1, b"3"));
        assert_eq!(file.seek(SeekFrom::Current(2)).await.unwrap(), 6);
        assert_eq!(AsyncSeekExt::seek(&mut file, SeekFrom::End(-1)).await.unwrap(), 9);
        assert_eq!((file.read(&mut byte).await.unwrap(), &byte), (1, b"9"));
        assert_eq!(file.seek(SeekFrom::Current(-11)).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[dormouse::test]
    async fn clones_stand_at_the_same_place() {
        let dir = Scratch::new("clones");
        let path = dir.join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        let file = File::open(&path).await.unwrap();
        let clone = file.try_clone().unwrap();
        clone.seek(SeekFrom::Start(5)).await.unwrap();
        drop(clone);
        let mut byte = [0];
        assert_eq!((file.read(&mut byte).await.unwrap(), &byte), (1, b"5"));
    }

    #[dormouse::test]
    async fn a_file_is_copied() {
        let dir = Scratch::new("copied");
        let (from, to) = (dir.join("from"), dir.join("to"));
        let bytes: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(&from, &bytes).unwrap();
        let copied = io::copy(File::open(&from).await.unwrap(), File::create(&to).await.unwrap()).await.unwrap();
        assert_eq!(copied, bytes.len() as u64);
        assert!(std::fs::read(&to).unwrap() == bytes);
    }

    /// It is always ready, and yet others get their turn.
    #[dormouse::test]
    async fn a_task_that_reads_a_file_for_ever_starves_nobody() {
        let dir = Scratch::new("starves");
        let path = dir.join("file");
        std::fs::write(&path, b"x").unwrap();
        let file = File::open(&path).await.unwrap();
        let reader = spawn(async move {
            loop {
                file.seek(SeekFrom::Start(0)).await.unwrap();
                file.read(&mut [0; 1]).await.unwrap();
            }
        });
        sleep(Duration::from_millis(5)).await;
        reader.abort();
    }

    #[cfg(feature = "sim")]
    mod simulated {
        use super::*;

        use dormouse::sim::Sim;
        #[cfg(unix)]
        use dormouse::time::timeout;

        /// Not even that of the program around it.
        #[cfg(unix)]
        #[test]
        fn a_simulation_has_no_standard_input() {
            let outside = || {
                dormouse::block_on(async {
                    let _ = timeout(Duration::from_millis(1), io::stdin().read(&mut [0; 1])).await;
                });
            };
            outside();
            let run = Sim::seeded(1).run(async {
                let error = io::stdin().read(&mut [0; 1]).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert_eq!(error.to_string(), "a simulation has no standard input");
            });
            outside();
            assert!(run.result.is_ok());
        }

        #[test]
        fn a_simulation_reads_files() {
            let dir = Scratch::new("simulated");
            let path = dir.join("file");
            std::fs::write(&path, b"hello").unwrap();
            let run = Sim::seeded(1).run(async {
                let mut text = String::new();
                File::open(&path).await.unwrap().read_to_string(&mut text).await.unwrap();
                assert_eq!(text, "hello");
            });
            assert!(run.result.is_ok());
        }

        #[cfg(unix)]
        #[test]
        fn a_simulation_does_not_wait_for_pipes() {
            let run = Sim::seeded(1).run(async {
                let (reader, _writer) = std::io::pipe().unwrap();
                let error = File::from_std(std::os::fd::OwnedFd::from(reader).into()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unsupported);
            });
            assert!(run.result.is_ok());
        }
    }
}

/// WASI has no pipes to make, and Windows cannot be asked whether one is ready.
#[cfg(unix)]
mod pipes {
    use super::*;

    use std::os::fd::OwnedFd;
    use std::rc::Rc;

    use dormouse::io::SeekFrom;
    use dormouse::task::yield_now;
    use dormouse::time::timeout;
    use futures_lite::{AsyncReadExt, AsyncWriteExt};

    fn pipe() -> (File, File) {
        let (reader, writer) = std::io::pipe().unwrap();
        let file = |fd: OwnedFd| File::from_std(fd.into()).unwrap();
        (file(reader.into()), file(writer.into()))
    }

    #[dormouse::test]
    async fn a_reader_is_parked_until_something_comes() {
        let (reader, writer) = pipe();
        let read = spawn(async move {
            let mut buf = [0; 16];
            let n = reader.read(&mut buf).await.unwrap();
            buf[..n].to_vec()
        });
        sleep(Duration::from_millis(2)).await;
        assert!(!read.is_finished());
        assert_eq!(writer.write(b"hello").await.unwrap(), 5);
        assert_eq!(read.await.unwrap(), b"hello");
    }

    #[dormouse::test]
    async fn a_parked_reader_sees_the_end() {
        let (reader, writer) = pipe();
        let read = spawn(async move { reader.read(&mut [0; 16]).await });
        yield_now().await;
        drop(writer);
        assert_eq!(read.await.unwrap().unwrap(), 0);
    }

    #[dormouse::test]
    async fn a_full_pipe_parks_the_writer_until_it_is_read() {
        const ALL: usize = 1 << 20;
        let (mut reader, mut writer) = pipe();
        let write = spawn(async move { writer.write_all(&vec![7; ALL]).await });
        sleep(Duration::from_millis(2)).await;
        assert!(!write.is_finished());
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await.unwrap();
        assert!(bytes == vec![7; ALL]);
        write.await.unwrap().unwrap();
    }

    #[dormouse::test]
    async fn a_parked_writer_is_told_that_nobody_reads_any_more() {
        let (reader, mut writer) = pipe();
        let write = spawn(async move { writer.write_all(&vec![7; 1 << 20]).await });
        sleep(Duration::from_millis(2)).await;
        assert!(!write.is_finished());
        drop(reader);
        assert_eq!(write.await.unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    }

    #[dormouse::test]
    async fn a_read_that_is_given_up_has_taken_nothing() {
        let (reader, writer) = pipe();
        assert!(timeout(Duration::from_millis(2), reader.read(&mut [0; 16])).await.is_err());
        writer.write(b"hello").await.unwrap();
        let mut buf = [0; 16];
        assert_eq!(reader.read(&mut buf).await.unwrap(), 5);
    }

    #[dormouse::test]
    async fn an_empty_read_or_write_is_at_once() {
        let (reader, writer) = pipe();
        assert_eq!(reader.read(&mut []).await.unwrap(), 0);
        assert_eq!(writer.write(&[]).await.unwrap(), 0);
    }

    #[dormouse::test]
    async fn two_tasks_wait_on_one_pipe() {
        let (reader, writer) = pipe();
        let clone = reader.try_clone().unwrap();
        let reader = Rc::new(reader);
        let tasks = [
            spawn({
                let reader = Rc::clone(&reader);
                async move { reader.read(&mut [0; 1]).await }
            }),
            spawn(async move { clone.read(&mut [0; 1]).await }),
        ];
        sleep(Duration::from_millis(2)).await;
        writer.write(b"ab").await.unwrap();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap(), 1);
        }
        drop(writer);
        assert_eq!(reader.read(&mut [0; 1]).await.unwrap(), 0);
    }

    #[dormouse::test]
    async fn a_pipe_cannot_seek() {
        let (reader, _writer) = pipe();
        assert_eq!(reader.seek(SeekFrom::Start(0)).await.unwrap_err().kind(), ErrorKind::NotSeekable);
    }

    /// epoll refuses them; they are never waited for.
    #[dormouse::test]
    async fn devices_that_are_always_ready_need_no_poller() {
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
        let null = File::from_std(null).unwrap();
        assert_eq!(null.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(null.write(b"hello").await.unwrap(), 5);
        let mut zeroes = [1; 8];
        File::open("/dev/zero").await.unwrap().read_exact(&mut zeroes).await.unwrap();
        assert_eq!(zeroes, [0; 8]);
    }

    #[test]
    fn outside_of_a_runtime_what_waits_is_refused() {
        let (reader, writer) = pipe();
        let error = futures_lite::future::block_on(reader.read(&mut [0; 1])).unwrap_err();
        assert!(error.to_string().contains("no Dormouse runtime"), "{error}");
        assert_eq!(futures_lite::future::block_on(writer.write(b"x")).unwrap(), 1);
    }
}

/// Standard input as another process gives it: this program, started again for one of its tests. A guest cannot start
/// one.
#[cfg(unix)]
mod children {
    use super::*;

    use std::io::{BufRead, BufReader, Read, Seek, Write};
    use std::os::fd::AsFd;
    use std::process::{Child, Command, Stdio};

    use futures_lite::io::BufReader as Buffered;
    use futures_lite::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, StreamExt};

    const CHILD: &str = "DORMOUSE_TEST_CHILD";

    fn is_child() -> bool {
        std::env::var_os(CHILD).is_some()
    }

    /// Runs the test of that name in a process of its own. What it says, it says on standard error: standard output is
    /// the test harness's.
    fn child(test: &str, stdin: impl Into<Stdio>) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", test])
            .env(CHILD, "1")
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// What it says until it has ended well.
    fn said(child: Child) -> String {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        said
    }

    async fn say(line: String) {
        io::stderr().write_all(line.as_bytes()).await.unwrap();
    }

    async fn upper() {
        let mut lines = Buffered::new(io::stdin()).lines();
        while let Some(line) = lines.next().await {
            say(line.unwrap().to_uppercase() + "\n").await;
        }
    }

    #[test]
    fn timers_run_while_standard_input_is_quiet() {
        if is_child() {
            dormouse::block_on(async {
                spawn(async {
                    loop {
                        sleep(Duration::from_millis(1)).await;
                        say("tick\n".into()).await;
                    }
                });
                upper().await;
            });
            return;
        }
        let mut child = child("children::timers_run_while_standard_input_is_quiet", Stdio::piped());
        let mut input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        for word in ["hello", "again"] {
            // It has not been given a line yet, and it ticks.
            assert_eq!(lines.next().unwrap(), "tick");
            writeln!(input, "{word}").unwrap();
            let line = lines.find(|line| line != "tick").unwrap();
            assert_eq!(line, word.to_uppercase());
        }
        drop(input);
        assert!(lines.all(|line| line == "tick"));
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn standard_input_that_epoll_refuses_is_read() {
        if is_child() {
            return dormouse::block_on(upper());
        }
        let name = "children::standard_input_that_epoll_refuses_is_read";
        assert_eq!(said(child(name, Stdio::null())), "");
        assert_eq!(said(child(name, file(b"hello\nfile\n"))), "HELLO\nFILE\n");
    }

    #[test]
    fn standard_input_may_be_waited_for_in_several_ways() {
        if is_child() {
            let dup = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
            return dormouse::block_on(async {
                let stdin = io::stdin();
                let reads = [
                    spawn({
                        let mut stdin = stdin.clone();
                        async move { AsyncReadExt::read(&mut stdin, &mut [0; 1]).await }
                    }),
                    spawn(async move { stdin.read(&mut [0; 1]).await }),
                    spawn(async move { File::from_std(dup.into())?.read(&mut [0; 1]).await }),
                ];
                sleep(Duration::from_millis(2)).await;
                say("parked\n".into()).await;
                for read in reads {
                    assert_eq!(read.await.unwrap().unwrap(), 1);
                }
                // All handles are gone, and it is still open.
                assert_eq!(io::stdin().read(&mut [0; 1]).await.unwrap(), 0);
                say("ended\n".into()).await;
            });
        }
        let mut child = child("children::standard_input_may_be_waited_for_in_several_ways", Stdio::piped());
        let mut input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert_eq!(lines.next().unwrap(), "parked");
        input.write_all(b"abc").unwrap();
        drop(input);
        assert_eq!(lines.collect::<Vec<_>>(), ["ended"]);
        assert!(child.wait().unwrap().success());
    }

    /// Its end comes again at each read, as std's does.
    #[test]
    fn the_end_of_standard_input_is_told_each_time() {
        if is_child() {
            return dormouse::block_on(async {
                for _ in 0..3 {
                    assert_eq!(io::stdin().read(&mut [0; 8]).await.unwrap(), 0);
                }
            });
        }
        let mut child = child("children::the_end_of_standard_input_is_told_each_time", Stdio::piped());
        drop(child.stdin.take());
        said(child);
    }

    #[test]
    fn an_error_of_standard_input_says_so() {
        if is_child() {
            let error = dormouse::block_on(async { io::stdin().read(&mut [0; 8]).await.unwrap_err() });
            return eprintln!("{error}");
        }
        let dir = std::fs::File::open(std::env::temp_dir()).unwrap();
        let said = said(child("children::an_error_of_standard_input_says_so", dir));
        assert!(said.starts_with("read standard input: "), "{said}");
    }

    #[test]
    fn standard_error_may_be_a_file() {
        if is_child() {
            return dormouse::block_on(say("x".repeat(10_000)));
        }
        let mut log = file(b"");
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "children::standard_error_may_be_a_file"])
            .env(CHILD, "1")
            .stdout(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .status()
            .unwrap();
        assert!(status.success());
        let mut text = String::new();
        log.rewind().unwrap();
        log.read_to_string(&mut text).unwrap();
        assert!(text == "x".repeat(10_000));
    }

    /// A file of these bytes that has no name any more.
    fn file(bytes: &[u8]) -> std::fs::File {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dormouse-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let mut file = std::fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }
}
