//! Tasks where there is one thread. `tests/abi.rs` runs this file under Miri.
#![allow(unsafe_code)]

use async_task::{Builder, Runnable, Schedule, Task};

/// `async_task`'s `spawn_local` without its check of the thread, whose thread ids are 4 KB of a small guest.
pub(crate) fn spawn_local<F, S, M>(builder: Builder<M>, future: F, schedule: S) -> (Runnable<M>, Task<F::Output, M>)
where
    F: Future + 'static,
    F::Output: 'static,
    S: Schedule<M> + Send + Sync + 'static,
    M: 'static,
{
    // SAFETY: future and schedule borrow nothing and the schedule may go anywhere. The future may not, but there is
    // nowhere to go: wasm32-wasip1 and wasm32-wasip2 have one thread.
    unsafe { builder.spawn_unchecked(|_| future, schedule) }
}

#[cfg(target_os = "wasi")]
mod facts {
    /// The export by which a host tells facts: see `facts.rs`. It is made in this crate and not in the program's, as that of WASI 0.3
    /// is, since it needs no `main`: a component that is called and not run has sockets, too.
    #[unsafe(export_name = "dormouse-host-facts")]
    extern "C" fn tell(facts: u32) {
        super::super::facts::tell(facts);
    }

    /// The type of the export, as the linker of components wants it: an encoded world,
    ///
    /// ```wit
    /// package dormouse:host@0.1.0;
    /// world program { export dormouse-host-facts: func(facts: u32); }
    /// ```
    ///
    /// by `wit_component::metadata::encode`, of which this is the section `component-type`. A function and not an interface, which would
    /// be 0.6 KB more of each component. A module has exports without types.
    #[cfg(not(target_env = "p1"))]
    #[unsafe(link_section = "component-type:dormouse-facts")]
    #[used]
    static WORLD: [u8; include_bytes!("facts.bin").len()] = *include_bytes!("facts.bin");
}
