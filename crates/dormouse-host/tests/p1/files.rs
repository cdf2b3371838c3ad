//! Files and directories beside sockets.

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
fn a_file_takes_another_files_number_and_no_sockets() {
    let (mut guest, _) = guest("renumbered");
    let one = open(&mut guest, 5, "f").unwrap();
    let other = open(&mut guest, 5, "f").unwrap();
    assert_eq!(guest.call("fd_seek", &[one, 7, 0, 0]), 0);
    assert_eq!(guest.call("fd_renumber", &[one, other]), 0);
    assert_eq!(read(&mut guest, other), b"file");
    assert_eq!(guest.call("fd_close", &[one]), BADF);
    for (from, to) in [(3, other), (other, 3), (3, 4)] {
        assert_eq!(guest.call("fd_renumber", &[from, to]), NOTSUP);
    }
    assert_eq!(guest.close(3), 0);
    assert_eq!(guest.call("fd_renumber", &[other, 3]), BADF);
    assert_eq!(guest.call("fd_close", &[other]), 0, "it is where it was");
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
