//! What is written to files.

use std::{env, fs, process};

use wasmtime_wasi::FsPerms;
use wasmtime_wasi::filesystem::WasiFilesystemView as _;
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorFlags, HostDescriptor as _, OpenFlags, PathFlags};

use super::super::files::at_once;
use super::*;

#[test]
fn a_write_to_a_file_is_over_when_it_returns_and_tells_its_error() {
    let dir = env::temp_dir().join(format!("dormouse-files-{}", process::id()));
    fs::create_dir_all(&dir).unwrap();
    let file = dir.join("f");
    fs::write(&file, "begun").unwrap();
    run(async |mut state| {
        let mut wasi = WasiCtx::builder();
        wasi.allow_blocking_current_thread(true).preopened_dir(&dir, "/", FsPerms::ReadWrite).unwrap();
        state.wasi = wasi.build();
        let (root, _) = state.filesystem().get_directories().unwrap().remove(0);
        let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
        let (none, name) = (PathFlags::empty(), || "f".to_owned());
        let opened =
            state.filesystem().open_at(borrowed(&root), none, name(), OpenFlags::empty(), flags).await.unwrap();

        let made = state.filesystem().write_via_stream(borrowed(&opened), 1);
        let stream = at_once(&mut state.table, made).unwrap().unwrap();
        for part in ["xy", "z"] {
            assert!(state.view().check_write(borrowed(&stream)).unwrap() > 0);
            HostOutputStream::write(&mut state.view(), borrowed(&stream), part.into()).unwrap();
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "bxyzn");

        let made = state.filesystem().append_via_stream(borrowed(&opened));
        let stream = at_once(&mut state.table, made).unwrap().unwrap();
        HostOutputStream::write(&mut state.view(), borrowed(&stream), "!".into()).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "bxyzn!");

        // No file of the system goes so far.
        let made = state.filesystem().write_via_stream(borrowed(&opened), u64::MAX);
        let stream = at_once(&mut state.table, made).unwrap().unwrap();
        let error = HostOutputStream::write(&mut state.view(), borrowed(&stream), "!".into()).unwrap_err();
        assert!(matches!(error, StreamError::LastOperationFailed(_)), "{error}");
        let error = state.view().check_write(borrowed(&stream)).unwrap_err();
        assert!(matches!(error, StreamError::Closed), "{error}");
    });
    fs::remove_dir_all(&dir).unwrap();
}
