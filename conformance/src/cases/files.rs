//! Files, in the directory that the driver gives: `BATTERY_DIR`.

use std::env;
use std::io::{ErrorKind, SeekFrom};
use std::path::PathBuf;

use dormouse::fs::{self, File};
use dormouse::{io, spawn};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::net::pattern;
use super::place::pair;

fn dir() -> PathBuf {
    PathBuf::from(env::var_os("BATTERY_DIR").expect("the driver gives a directory"))
}

/// What is written is read, where it was written; and paths are std's.
pub async fn files() {
    let (one, other) = (dir().join("one"), dir().join("other"));
    let mut file = File::create(&one).await.unwrap();
    file.write_all(&pattern(100_000)).await.unwrap();
    file.flush().await.unwrap();
    assert_eq!(fs::metadata(&one).await.unwrap().len(), 100_000);
    assert_eq!(file.write(b"!").await.unwrap(), 1);
    file.sync_all().await.unwrap();
    drop(file);

    let file = File::open(&one).await.unwrap();
    assert_eq!(file.seek(SeekFrom::End(-1)).await.unwrap(), 100_000);
    let mut buf = [0; 8];
    assert_eq!(file.read(&mut buf).await.unwrap(), 1);
    assert_eq!(buf[0], b'!');
    assert_eq!(file.read(&mut buf).await.unwrap(), 0, "the end");
    assert_eq!(file.seek(SeekFrom::Start(7)).await.unwrap(), 7);
    let mut rest = Vec::new();
    (&file).read_to_end(&mut rest).await.unwrap();
    assert!(rest[..99_993] == pattern(100_000)[7..]);
    assert!(file.write(b"x").await.is_err(), "it was opened for reading");

    fs::rename(&one, &other).await.unwrap();
    assert_eq!(fs::read(&one).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs::read(&other).await.unwrap().len(), 100_001);
    fs::write(&one, "text").await.unwrap();
    assert_eq!(fs::read_to_string(&one).await.unwrap(), "text");
    fs::create_dir(dir().join("inner")).await.unwrap();
    assert_eq!(fs::create_dir(dir().join("inner")).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    let mut names = Vec::new();
    let mut entries = fs::read_dir(dir()).await.unwrap();
    while let Some(entry) = entries.next_entry().await.unwrap() {
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["inner", "one", "other"]);
    fs::remove_dir(dir().join("inner")).await.unwrap();
    for path in [&one, &other] {
        fs::remove_file(path).await.unwrap();
    }
    let error = File::open(&one).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().starts_with(&format!("open {}: ", one.display())), "{error}");
}

/// From a file to a socket, and from a socket to a file.
pub async fn files_and_sockets() {
    let (from, to) = (dir().join("from"), dir().join("to"));
    fs::write(&from, pattern(300_000)).await.unwrap();
    let (near, far) = pair().await;
    let receiver = spawn(async move {
        let mut file = File::create(to).await?;
        let n = io::copy(&far, &mut file).await?;
        file.flush().await.map(|()| n)
    });
    let file = File::open(&from).await.unwrap();
    assert_eq!(io::copy(&file, &near).await.unwrap(), 300_000);
    drop(near);
    assert_eq!(receiver.await.unwrap().unwrap(), 300_000);
    assert!(fs::read(dir().join("to")).await.unwrap() == pattern(300_000));
    for name in ["from", "to"] {
        fs::remove_file(dir().join(name)).await.unwrap();
    }
}

/// Every file of a directory is listed once, though each is removed as soon as it is.
pub async fn files_removed_while_listed() {
    for n in 0..500 {
        fs::write(dir().join(format!("file {n}")), "").await.unwrap();
    }
    let mut entries = fs::read_dir(dir()).await.unwrap();
    let mut removed = 0;
    while let Some(entry) = entries.next_entry().await.unwrap() {
        fs::remove_file(entry.path()).await.unwrap();
        removed += 1;
    }
    assert_eq!(removed, 500);
    assert!(fs::read_dir(dir()).await.unwrap().next_entry().await.unwrap().is_none());
}

/// Lists a directory in which the outside has made a file whose name is not UTF-8.
pub async fn files_with_odd_names() {
    fs::write(dir().join("plain"), "").await.unwrap();
    let mut names = Vec::new();
    let mut entries = match fs::read_dir(dir()).await {
        Ok(entries) => entries,
        Err(error) => return println!("{:?}", error.kind()),
    };
    loop {
        match entries.next_entry().await {
            Ok(Some(entry)) => names.push(entry.file_name().to_string_lossy().into_owned()),
            Ok(None) => break,
            Err(error) => return println!("{:?}", error.kind()),
        }
    }
    names.sort();
    println!("{}", names.join(", "));
}

/// What goes wrong has the kind that it has natively.
pub async fn files_that_fail() {
    let inner = dir().join("inner");
    fs::create_dir(&inner).await.unwrap();
    fs::write(inner.join("file"), "").await.unwrap();
    let kind = |error: io::Error| error.kind();
    assert_eq!(fs::remove_dir(&inner).await.map_err(kind), Err(ErrorKind::DirectoryNotEmpty));
    assert_eq!(fs::read(&inner).await.map_err(kind), Err(ErrorKind::IsADirectory));
    assert_eq!(fs::write(&inner, "x").await.map_err(kind), Err(ErrorKind::IsADirectory));
    // Also one that is open already.
    let open = File::open(&inner).await.unwrap();
    let errors = [open.read(&mut [0]).await, AsyncReadExt::read(&mut &open, &mut [0]).await];
    for error in errors.map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
        assert!(error.to_string().to_lowercase().starts_with("is a directory"), "{error}");
    }
    assert_eq!(fs::read_dir(inner.join("file")).await.map(drop).map_err(kind), Err(ErrorKind::NotADirectory));
    assert_eq!(fs::read(inner.join("file").join("more")).await.map_err(kind), Err(ErrorKind::NotADirectory));
    fs::remove_file(inner.join("file")).await.unwrap();
    fs::remove_dir(&inner).await.unwrap();
}
