//! Files and directories beside sockets.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::guest::*;

/// A guest with two listeners, 3 and 4, and two directories, `/a` and `/b`, the first of which has a file `f`.
fn guest(name: &str) -> (Guest, PathBuf) {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("p1-{name}"));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("f"), "of the file").unwrap();
    let mut wasi = WasiCtxBuilder::new();
    wasi.preopened_dir(&dir, "/a", FsPerms::ReadWrite).unwrap().preopened_dir(&dir, "/b", FsPerms::ReadWrite).unwrap();
    let guest = Guest::new(&mut wasi, |p1| {
        for fd in [3, 4] {
            assert_eq!(p1.listener(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap(), fd);
        }
    });
    (guest, dir)
}

/// Finds the directories as wasi-libc does (libc-bottom-half/sources/preopens.c): from 3 on until EBADF, and whatever is
/// no directory is passed over.
fn directories(guest: &mut Guest) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    for fd in 3.. {
        match guest.call("fd_prestat_get", &[fd, 0]) {
            0 => {}
            errno => {
                assert_eq!(errno, BADF);
                break;
            }
        }
        if guest.read(0, 1) == [0] {
            let len = guest.word(4);
            assert_eq!(guest.call("fd_prestat_dir_name", &[fd, 64, len.into()]), 0);
            found.push((fd, String::from_utf8(guest.read(64, len as usize)).unwrap()));
        }
    }
    found
}

/// Opens a file for reading and writing in a directory.
fn open(guest: &mut Guest, dir: i64, path: &str) -> Result<i64, i32> {
    guest.write(1024, path.as_bytes());
    let rights = 1 << 1 | 1 << 6;
    match guest.call("path_open", &[dir, 0, 1024, path.len() as i64, 0, rights, 0, 0, 0]) {
        0 => Ok(guest.word(0).into()),
        errno => Err(errno),
    }
}

fn read(guest: &mut Guest, fd: i64) -> Vec<u8> {
    guest.buffers(&[100]);
    assert_eq!(guest.call("fd_read", &[fd, 256, 1, 0]), 0);
    guest.received()
}

#[test]
fn directories_are_found_behind_sockets() {
    let (mut guest, _) = guest("found");
    let both = [(5, "/a".to_owned()), (6, "/b".to_owned())];
    assert_eq!(directories(&mut guest), both);
    // A library that looks for them late finds them still.
    assert_eq!((guest.close(3), guest.close(4)), (0, 0));
    assert_eq!(directories(&mut guest), both);
    assert_eq!(guest.call("fd_prestat_dir_name", &[3, 64, 2]), BADF);
}

#[test]
fn without_directories_there_is_nothing_to_find() {
    let (mut guest, _) = Guest::listening();
    assert_eq!(directories(&mut guest), []);
    assert_eq!(guest.call("fd_prestat_dir_name", &[3, 64, 2]), NOTDIR);
}

#[test]
fn files_are_opened_beside_sockets() {
    let (mut guest, dir) = guest("opened");
    let one = open(&mut guest, 5, "f").unwrap();
    let other = open(&mut guest, 6, "f").unwrap();
    assert_eq!((one, other), (7, 8));
    assert_eq!(read(&mut guest, one), b"of the file");
    assert_eq!(guest.call("fd_seek", &[one, 3, 0, 0]), 0);
    assert_eq!(read(&mut guest, one), b"the file");
    guest.write(BUFFER, b"by a program");
    guest.buffers(&[12]);
    assert_eq!(guest.call("fd_write", &[other, 256, 1, 0]), 0);
    assert_eq!(fs::read(dir.join("f")).unwrap(), b"by a program");
    assert_eq!(guest.call("fd_close", &[one]), 0);
    assert_eq!(guest.call("fd_close", &[one]), BADF);
    assert_eq!(open(&mut guest, 5, "f"), Ok(one));
    assert_eq!(open(&mut guest, 5, "none"), Err(44));
    assert_eq!((open(&mut guest, 3, "f"), open(&mut guest, 77, "f")), (Err(NOTDIR), Err(BADF)));
    assert_eq!(guest.accept(one as u32, 0), Err(NOTSOCK));
}

#[test]
fn files_and_sockets_are_polled_together() {
    let (mut guest, _) = guest("polled");
    let file = open(&mut guest, 5, "f").unwrap() as u32;
    // Not both sides at once: each wait of wasmtime-wasi 48.0.8 begins to read the file ahead, in a thread, and so has
    // only the other side to tell.
    assert_eq!(guest.poll(&[Sub::Read(3), Sub::Read(file), NEVER]), fired(&[1]));
    assert_eq!(guest.poll(&[Sub::Read(3), Sub::Write(file), NEVER]), fired(&[1]));
    read(&mut guest, file.into());
    assert_eq!(guest.poll(&[Sub::Read(file), NEVER]), Ok(vec![(0, 0, HANGUP)]), "it is at its end");
    assert_eq!(guest.poll(&[Sub::Read(5), Sub::Write(file)]), Ok(vec![(0, BADF, 0), (1, 0, 0)]));
}

#[test]
fn a_file_takes_the_number_of_a_file_or_of_a_socket() {
    let (mut guest, _) = guest("renumbered");
    let one = open(&mut guest, 5, "f").unwrap();
    let other = open(&mut guest, 5, "f").unwrap();
    assert_eq!(guest.call("fd_seek", &[one, 7, 0, 0]), 0);
    assert_eq!(guest.call("fd_renumber", &[one, other]), 0);
    assert_eq!(read(&mut guest, other), b"file");
    assert_eq!(guest.call("fd_close", &[one]), BADF);
    // A socket's number, too, and a socket a file's: the one that had it is closed.
    assert_eq!(guest.call("fd_renumber", &[other, 3]), 0);
    assert_eq!((guest.accept(3, 0), guest.accept(other as u32, 0)), (Err(NOTSOCK), Err(BADF)));
    assert_eq!(guest.call("fd_seek", &[3, 0, 0, 0]), 0);
    assert_eq!(read(&mut guest, 3), b"of the file");
    assert_eq!(guest.call("fd_renumber", &[4, 0]), 0);
    assert_eq!(guest.accept(0, 0), Err(AGAIN), "the listener");
    assert_eq!(guest.call("fd_renumber", &[3, 4]), BADF);
}

#[test]
fn a_file_has_the_number_of_a_closed_stream_and_is_nothing_else() {
    let (mut guest, dir) = guest("standard");
    assert_eq!(guest.close(0), 0);
    let file = open(&mut guest, 5, "f").unwrap();
    assert_eq!(file, 0, "the lowest that is closed");
    assert_eq!(read(&mut guest, file), b"of the file");
    assert_eq!(guest.accept(3, NONBLOCK), Err(AGAIN), "the listener has its own");
    assert_eq!(guest.poll(&[Sub::Write(0), Sub::Read(3), NEVER]), fired(&[0]));
    assert_eq!((guest.close(3), guest.close(1), guest.close(0)), (0, 0, 0));
    let files = [(); 3].map(|()| open(&mut guest, 5, "f").unwrap());
    assert_eq!(files, [0, 1, 7], "a listener's number stays closed");
    guest.write(BUFFER, b"to 1");
    guest.buffers(&[4]);
    assert_eq!(guest.call("fd_write", &[1, 256, 1, 0]), 0);
    assert_eq!(fs::read(dir.join("f")).unwrap(), b"to 1he file");
}

/// What a number is, to the model.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    Listener,
    Connection(u8),
    /// With an offset by which it is told from the others.
    File(i64),
    Stream,
    Directory,
}

/// Random sequences of opening, accepting, closing and renumbering: each number is what a map says it is.
#[test]
fn a_number_is_one_descriptor() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let (_, dir) = guest("model");
    for _ in 0..20 {
        let mut wasi = WasiCtxBuilder::new();
        wasi.preopened_dir(&dir, "/a", FsPerms::ReadWrite).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let mut guest = Guest::new(&mut wasi, |p1| assert_eq!(p1.listener(listener).unwrap(), 3));
        let mut model: BTreeMap<i64, Is> =
            [(0, Is::Stream), (1, Is::Stream), (2, Is::Stream), (3, Is::Listener), (4, Is::Directory)].into();
        let (mut peers, mut made) = (Vec::new(), 0);
        for _ in 0..60 {
            let of = |model: &BTreeMap<i64, Is>, is| model.iter().find(|(_, what)| **what == is).map(|(fd, _)| *fd);
            let mut any = || *model.keys().nth(random(model.len().max(1))).unwrap_or(&77);
            let (one, other) = (any(), any());
            made += 1;
            match random(6) {
                0 | 1 => {
                    let Some(directory) = of(&model, Is::Directory) else { continue };
                    let fd = open(&mut guest, directory, "f").unwrap();
                    assert_eq!(guest.call("fd_seek", &[fd, made, 0, 0]), 0);
                    assert_eq!(model.insert(fd, Is::File(made)), None, "{fd} is another's");
                }
                2 | 3 => {
                    let Some(listener) = of(&model, Is::Listener) else { continue };
                    let peer = TcpStream::connect(addr).unwrap();
                    say(&peer, &[made as u8]);
                    peers.push(peer);
                    let fd = guest.accept(listener as u32, NONBLOCK).unwrap();
                    assert_eq!(model.insert(fd.into(), Is::Connection(made as u8)), None, "{fd} is another's");
                }
                4 => {
                    assert_eq!(guest.close(one as u32), if model.remove(&one).is_some() { 0 } else { BADF });
                }
                _ => {
                    let both = model.contains_key(&one) && model.contains_key(&other);
                    assert_eq!(guest.call("fd_renumber", &[one, other]), if both { 0 } else { BADF });
                    if both && one != other {
                        let moved = model.remove(&one).unwrap();
                        model.insert(other, moved);
                        assert_eq!(guest.close(one as u32), BADF);
                    }
                }
            }
            for (&fd, &is) in &model {
                let seen = match guest.call("fd_seek", &[fd, 0, 1, 0]) {
                    0 => Is::File(guest.word(0).into()),
                    SPIPE => match guest.recv_as(fd as u32, &[1], PEEK) {
                        Ok(bytes) => Is::Connection(bytes[0]),
                        Err(NOTSOCK) => Is::Stream,
                        errno => {
                            assert_eq!(errno, Err(NOTCONN));
                            Is::Listener
                        }
                    },
                    _ => Is::Directory,
                };
                assert_eq!(seen, is, "{fd}");
            }
        }
    }
}

#[test]
fn files_are_bounded() {
    let (_, dir) = guest("bounded");
    let mut wasi = WasiCtxBuilder::new();
    wasi.preopened_dir(&dir, "/a", FsPerms::ReadWrite).unwrap();
    let mut guest = Guest::new(&mut wasi, |p1| p1.max_files(2));
    let one = open(&mut guest, 3, "f").unwrap();
    open(&mut guest, 3, "f").unwrap();
    assert_eq!(open(&mut guest, 3, "f"), Err(NFILE));
    assert_eq!(guest.close(one as u32), 0);
    assert_eq!(open(&mut guest, 3, "f"), Ok(one));
    // A path that nothing has is not copied.
    assert_eq!(guest.call("path_unlink_file", &[3, 0, (1 << 16) + 1]), 37);
}

#[test]
fn standard_streams_have_flags() {
    let (mut guest, _) = Guest::listening();
    for fd in [0, 1, 2] {
        assert_eq!(guest.flags(fd), 0);
        for flags in [NONBLOCK, NONBLOCK | 1, 1, 0] {
            assert_eq!(guest.set_flags(fd, flags), 0);
            assert_eq!(guest.flags(fd), flags);
        }
        for flags in [2, 8, 16, 32, -1] {
            assert_eq!(guest.set_flags(fd, flags), INVAL);
        }
    }
    assert_eq!(guest.set_flags(9, NONBLOCK), BADF);
    assert_eq!((guest.set_flags(3, -1), guest.set_flags(3, 16)), (INVAL, INVAL));
}

#[test]
fn random_bytes_are_of_any_length() {
    let (mut guest, _) = Guest::listening();
    let len = 10 << 20;
    assert_eq!(guest.call("random_get", &[BUFFER.into(), len]), 0);
    let bytes = guest.read(BUFFER, len as usize);
    assert!(bytes[bytes.len() - 64..].iter().any(|&byte| byte != 0));
    assert_eq!(guest.call("random_get", &[BUFFER.into(), 0xffff_ffff]), FAULT);
    assert_eq!(guest.call("random_get", &[BUFFER.into(), 0]), 0);
}

#[test]
fn links_and_names_are_made_by_directories_only() {
    let (mut guest, dir) = guest("links");
    guest.write(1024, b"fgh");
    let (f, g, h) = (1024, 1025, 1026);
    assert_eq!(guest.call("path_link", &[5, 0, f, 1, 6, g, 1]), 0);
    assert_eq!(guest.call("path_rename", &[6, g, 1, 5, h, 1]), 0);
    assert_eq!(guest.call("path_symlink", &[h, 1, 6, g, 1]), 0);
    assert_eq!(fs::read_to_string(dir.join("g")).unwrap(), "of the file");
    assert_eq!(guest.call("path_unlink_file", &[5, g, 1]), 0);
    for (old, new) in [(3, 5), (5, 3), (3, 4)] {
        assert_eq!(guest.call("path_link", &[old, 0, f, 1, new, g, 1]), NOTDIR);
        assert_eq!(guest.call("path_rename", &[old, f, 1, new, g, 1]), NOTDIR);
    }
    assert_eq!(guest.call("path_symlink", &[h, 1, 3, g, 1]), NOTDIR);
    assert_eq!(guest.call("path_unlink_file", &[3, h, 1]), NOTDIR);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
}

#[test]
fn accepted_sockets_have_numbers_of_their_own() {
    let (mut guest, addr) = Guest::listening();
    let _peer = TcpStream::connect(addr).unwrap();
    let fd = guest.accept(3, NONBLOCK).unwrap();
    assert!(fd >= 1 << 20, "{fd}: where no file will come");
    assert_eq!(guest.call("fd_prestat_get", &[fd.into(), 0]), BADF);
}

#[test]
fn a_read_only_directory_is_read_and_nothing_in_it_changes() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("p1-read-only");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::create_dir_all(dir.join("empty")).unwrap();
    fs::write(dir.join("f"), "of the file").unwrap();
    let mut wasi = WasiCtxBuilder::new();
    wasi.preopened_dir(&dir, "/a", FsPerms::ReadOnly).unwrap();
    let mut guest = Guest::new(&mut wasi, |_| ());
    let modified = |path: &str| fs::metadata(dir.join(path)).unwrap().modified().unwrap();
    let before = (modified("f"), modified("sub"), modified(""));
    guest.write(1024, b"f");
    guest.write(1040, b"new");
    guest.write(1056, b"empty");
    let (create, truncate, to_read, write, grow) = (1, 8, 1 << 1, 1 << 6, 1 << 22);
    let refused: &[(&str, &[i64])] = &[
        ("path_open", &[3, 0, 1024, 1, 0, to_read | write, 0, 0, 0]),
        ("path_open", &[3, 0, 1024, 1, 0, write | grow, 0, 0, 0]),
        ("path_open", &[3, 0, 1024, 1, truncate, to_read, 0, 0, 0]),
        ("path_open", &[3, 0, 1040, 3, create, to_read, 0, 0, 0]),
        ("path_create_directory", &[3, 1040, 3]),
        ("path_unlink_file", &[3, 1024, 1]),
        ("path_remove_directory", &[3, 1056, 5]),
        ("path_rename", &[3, 1024, 1, 3, 1040, 3]),
        ("path_link", &[3, 0, 1024, 1, 3, 1040, 3]),
        ("path_symlink", &[1024, 1, 3, 1040, 3]),
        ("path_filestat_set_times", &[3, 0, 1024, 1, 0, 0, 5]),
    ];
    for (name, args) in refused {
        assert_ne!(guest.call(name, args), 0, "{name} {args:?}");
    }
    // Neither through a file that is open for reading.
    assert_eq!(guest.call("path_open", &[3, 0, 1024, 1, 0, to_read, 0, 0, 0]), 0);
    let file = i64::from(guest.word(0));
    assert_eq!(read(&mut guest, file), b"of the file");
    for (name, args) in [
        ("fd_filestat_set_size", &[file, 0][..]),
        ("fd_allocate", &[file, 0, 100]),
        ("fd_filestat_set_times", &[file, 0, 0, 5]),
    ] {
        assert_ne!(guest.call(name, args), 0, "{name}");
    }
    guest.buffers(&[3]);
    assert_ne!(guest.call("fd_write", &[file, 256, 1, 0]), 0);
    assert_ne!(guest.call("fd_pwrite", &[file, 256, 1, 0, 0]), 0);
    assert_eq!((modified("f"), modified("sub"), modified("")), before);
    assert_eq!(fs::read(dir.join("f")).unwrap(), b"of the file");
    assert!(!dir.join("new").exists() && dir.join("empty").exists());
}

#[test]
fn beyond_max_files_opening_fails_until_one_is_closed() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("p1-max-files");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("f"), "of the file").unwrap();
    let mut wasi = WasiCtxBuilder::new();
    wasi.preopened_dir(&dir, "/a", FsPerms::ReadWrite).unwrap();
    let mut guest = Guest::new(&mut wasi, |p1| p1.max_files(2));
    let first = open(&mut guest, 3, "f").unwrap();
    open(&mut guest, 3, "f").unwrap();
    for _ in 0..3 {
        assert_eq!(open(&mut guest, 3, "f"), Err(NFILE));
    }
    assert_eq!(guest.call("fd_close", &[first]), 0);
    assert!(open(&mut guest, 3, "f").is_ok());
    assert_eq!(open(&mut guest, 3, "f"), Err(NFILE));
}
