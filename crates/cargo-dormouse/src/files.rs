//! The sources that the command carries.

include!(concat!(env!("OUT_DIR"), "/files.rs"));
