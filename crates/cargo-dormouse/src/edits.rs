//! The places of tokio at which it meets the system under it: where it puts its thread to sleep, where it starts one, and where it
//! refuses WASI. All else of it is as it was.

use crate::Result;

/// A change of one file: each place that has the text gets another one.
struct Edit {
    file: &'static str,
    find: &'static str,
    put: &'static str,
    /// What the text is, for the message if a tokio has it no more.
    what: &'static str,
}

const EDITS: &[Edit] = &[
    Edit {
        file: "lib.rs",
        find: r#"compile_error!("Only features sync,macros,io-util,rt,time are supported on wasm.");"#,
        put: "const _: () = ();",
        what: "the refusal of features on wasm",
    },
    // The one wait. A wake while nothing waits is kept, and makes the next wait a look.
    Edit {
        file: "runtime/park.rs",
        find: "    fn park(&self) {\n",
        put: "    fn park(&self) {\n        #[cfg(target_os = \"wasi\")]\n        return self.park_in_dormouse(None);\n",
        what: "the sleep of a thread",
    },
    Edit {
        file: "runtime/park.rs",
        find: "    fn park_timeout(&self, dur: Duration) {\n",
        put: "    fn park_timeout(&self, dur: Duration) {\n        #[cfg(target_os = \"wasi\")]\n        return \
              self.park_in_dormouse(Some(dur));\n",
        what: "the sleep of a thread with a bound",
    },
    // Sockets are made before the first wait.
    Edit {
        file: "runtime/park.rs",
        find: "    pub(crate) fn new() -> Self {\n        Self {\n            inner: Arc::new(Inner {\n",
        put: "    pub(crate) fn new() -> Self {\n        #[cfg(target_os = \"wasi\")]\n        let _ = \
              ::dormouse::foreign::enter();\n        Self {\n            inner: Arc::new(Inner {\n",
        what: "the making of a parker",
    },
    Edit {
        file: "runtime/park.rs",
        find: "impl Default for ParkThread {\n",
        put: r#"#[cfg(target_os = "wasi")]
impl Inner {
    fn park_in_dormouse(&self, timeout: Option<Duration>) {
        let notified = self.state.swap(EMPTY, SeqCst) == NOTIFIED;
        ::dormouse::foreign::park(if notified { Some(Duration::ZERO) } else { timeout });
        self.state.store(EMPTY, SeqCst);
    }
}

impl Default for ParkThread {
"#,
        what: "the parker of a thread",
    },
    // What was written to sockets and standard output is seen off when the runtime ends, and who waits for its sockets is told.
    Edit {
        file: "runtime/park.rs",
        find: "    fn shutdown(&self) {\n",
        put: "    fn shutdown(&self) {\n        #[cfg(target_os = \"wasi\")]\n        ::dormouse::foreign::settle();\n        #[cfg(target_os = \"wasi\")]\n        ::dormouse::foreign::wake_all();\n",
        what: "the end of a parker",
    },
    // A clock that stands still goes on to the next timer if a look finds nothing. Bytes that a program sends to itself are there at once
    // natively, and hosts tell of them a moment later.
    Edit {
        file: "runtime/time/mod.rs",
        find: "                self.park.park_timeout(rt_handle, Duration::from_secs(0));\n",
        put: "                #[cfg(target_os = \"wasi\")]\n                let look = \
              Duration::from_millis(u64::from(::dormouse::foreign::is_watching()));\n                \
              #[cfg(not(target_os = \"wasi\"))]\n                let look = Duration::from_secs(0);\n                \
              self.park.park_timeout(rt_handle, look);\n",
        what: "the look of a clock that stands still",
    },
    // There is one thread: what would be given to another one runs here and now, outside of the runtime as it would be there.
    Edit {
        file: "runtime/blocking/pool.rs",
        find: "    fn spawn_task(&self, task: Task, rt: &Handle) -> Result<(), SpawnError> {\n",
        put: "    fn spawn_task(&self, task: Task, rt: &Handle) -> Result<(), SpawnError> {\n        #[cfg(target_os = \
              \"wasi\")]\n        {\n            if !rt.inner.as_current_thread().is_open() {\n                \
              task.task.shutdown();\n                return Err(SpawnError::ShuttingDown);\n            }\n            \
              crate::runtime::context::leave(|| task.run());\n            \
              return Ok(());\n        }\n",
        what: "the start of what blocks",
    },
    Edit {
        file: "task/blocking.rs",
        find: "        crate::runtime::scheduler::block_in_place(f)\n",
        put: "        #[cfg(target_os = \"wasi\")]\n        return crate::runtime::context::leave(f);\n        \
              #[cfg(not(target_os = \"wasi\"))]\n        crate::runtime::scheduler::block_in_place(f)\n",
        what: "what blocks in place",
    },
    Edit {
        file: "runtime/context/runtime.rs",
        find: "impl fmt::Debug for EnterRuntimeGuard {\n",
        put: r#"/// Runs `f` as outside of a runtime; what it does is not of the task's budget.
#[cfg(target_os = "wasi")]
pub(crate) fn leave<R>(f: impl FnOnce() -> R) -> R {
    let was = CONTEXT.with(|c| c.runtime.replace(EnterRuntime::NotEntered));
    let budget = CONTEXT.with(|c| c.budget.get());
    let result = f();
    CONTEXT.with(|c| {
        c.budget.set(budget);
        c.runtime.set(was);
    });
    result
}

impl fmt::Debug for EnterRuntimeGuard {
"#,
        what: "the entry of a runtime",
    },
    Edit {
        file: "runtime/context.rs",
        find: "    mod runtime;\n",
        put: "    mod runtime;\n    #[cfg(target_os = \"wasi\")]\n    \
              pub(crate) use runtime::leave;\n",
        what: "the entry of a runtime",
    },
    Edit {
        file: "runtime/builder.rs",
        find: "            Kind::MultiThread => self.build_threaded_runtime(),\n",
        put: "            #[cfg(target_os = \"wasi\")]\n            Kind::MultiThread => \
              self.build_current_thread_runtime().inspect(|runtime| \
              runtime.handle().inner.as_current_thread().many_threads.store(true, \
              std::sync::atomic::Ordering::Relaxed)),\n            #[cfg(all(feature = \"rt-multi-thread\", \
              not(target_os = \"wasi\")))]\n            Kind::MultiThread => self.build_threaded_runtime(),\n",
        what: "the runtime of many threads",
    },
    // Handle::block_on runs the tasks too, since no other thread does. The core of the scheduler is in the runtime, or in the task that
    // runs: this has to find it from a handle.
    Edit {
        file: "runtime/scheduler/current_thread/mod.rs",
        find: "/// Executes tasks on the current thread\npub(crate) struct CurrentThread {\n",
        put: "/// What a handle has as well.\n#[cfg(target_os = \"wasi\")]\ntype Shares<T> = Arc<T>;\n\
              #[cfg(not(target_os = \"wasi\"))]\ntype Shares<T> = T;\n\n\
              /// Executes tasks on the current thread\n#[cfg_attr(target_os = \"wasi\", derive(Clone))]\n\
              pub(crate) struct CurrentThread {\n",
        what: "the scheduler",
    },
    Edit {
        file: "runtime/scheduler/current_thread/mod.rs",
        find: "    core: AtomicCell<Core>,\n",
        put: "    core: Shares<AtomicCell<Core>>,\n",
        what: "the place of the scheduler's core",
    },
    Edit {
        file: "runtime/scheduler/current_thread/mod.rs",
        find: "    notify: Notify,\n",
        put: "    notify: Shares<Notify>,\n",
        what: "the place of the scheduler's core",
    },
    Edit {
        file: "runtime/scheduler/current_thread/mod.rs",
        find: "            core,\n            notify: Notify::new(),\n        };\n",
        put: "            core: core.into(),\n            notify: Notify::new().into(),\n        };\n        \
              #[cfg(target_os = \"wasi\")]\n        let _ = handle.scheduler.set(scheduler.clone());\n",
        what: "the making of the scheduler",
    },
    Edit {
        file: "runtime/scheduler/current_thread/mod.rs",
        find: "pub(crate) struct Handle {\n",
        put: "pub(crate) struct Handle {\n    #[cfg(target_os = \"wasi\")]\n    \
              pub(crate) scheduler: std::sync::OnceLock<CurrentThread>,\n    #[cfg(target_os = \"wasi\")]\n    \
              /// The program has asked for a runtime of many threads.\n    pub(crate) many_threads: AtomicBool,\n    #[cfg(target_os = \"wasi\")]\n    \
              closed: AtomicBool,\n\n",
        what: "the handle of the scheduler",
    },
    Edit {
        file: "runtime/scheduler/current_thread/mod.rs",
        find: "        let handle = Arc::new(Handle {\n",
        put: "        let handle = Arc::new(Handle {\n            #[cfg(target_os = \"wasi\")]\n            \
              scheduler: Default::default(),\n            #[cfg(target_os = \"wasi\")]\n            \
              many_threads: AtomicBool::new(false),\n            #[cfg(target_os = \"wasi\")]\n            \
              closed: AtomicBool::new(false),\n",
        what: "the making of the handle",
    },
    Edit {
        file: "runtime/scheduler/current_thread/mod.rs",
        find: "    handle.shared.inject.close();\n",
        put: "    handle.shared.inject.close();\n    #[cfg(target_os = \"wasi\")]\n    \
              handle.closed.store(true, std::sync::atomic::Ordering::Relaxed);\n",
        what: "the end of the scheduler",
    },
    Edit {
        file: "runtime/scheduler/current_thread/mod.rs",
        find: "        let core = self.core.take()?;\n\n        Some(CoreGuard {\n",
        put: r#"        let core = self.core.take();
        // A task of this runtime runs, and waits here for another one.
        #[cfg(target_os = "wasi")]
        let core = core.or_else(|| handle.outer(|core| core.take()));
        let core = core?;

        Some(CoreGuard {
"#,
        what: "the taking of the scheduler's core",
    },
    Edit {
        file: "runtime/scheduler/current_thread/mod.rs",
        find: "        if let Some(core) = context.core.borrow_mut().take() {\n            // Replace old scheduler",
        put: r#"        if let Some(core) = context.core.borrow_mut().take() {
            #[cfg(target_os = "wasi")]
            let core = {
                let mut core = Some(core);
                context.handle.outer(|outer| {
                    *outer = core.take();
                    // The waker of what it blocks on was that of the inner one, too.
                    context.handle.shared.woken.store(true, Release);
                    outer.is_some().then_some(())
                });
                match core {
                    Some(core) => core,
                    None => return,
                }
            };
            // Replace old scheduler"#,
        what: "the return of the scheduler's core",
    },
    Edit {
        file: "runtime/scheduler/current_thread/mod.rs",
        find: "impl fmt::Debug for CurrentThread {\n",
        put: r#"#[cfg(target_os = "wasi")]
impl Handle {
    /// Whether its runtime is still there.
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Calls `f` with the place that a task of this runtime, in which we are, has for the core.
    fn outer<R>(self: &Arc<Self>, f: impl FnOnce(&mut Option<Box<Core>>) -> Option<R>) -> Option<R> {
        context::with_scheduler(|maybe_cx| match maybe_cx {
            Some(scheduler::Context::CurrentThread(cx)) if Arc::ptr_eq(self, &cx.handle) => f(&mut cx.core.borrow_mut()),
            _ => None,
        })
    }
}

impl fmt::Debug for CurrentThread {
"#,
        what: "the scheduler",
    },
    // What blocks a thread natively, as blocking_recv does, lets the tasks run.
    Edit {
        file: "future/block_on.rs",
        find: "        e.block_on(f).unwrap()\n",
        put: "        #[cfg(target_os = \"wasi\")]\n        if let Ok(handle) = crate::runtime::Handle::try_current() {\n            \
              return handle.block_on(f);\n        }\n        e.block_on(f).unwrap()\n",
        what: "what blocks a thread",
    },
    // A socket asks for the end of the runtime in which it was made.
    Edit {
        file: "runtime/handle.rs",
        find: "impl Handle {\n    /// Enters the runtime context.",
        put: "impl Handle {\n    #[cfg(target_os = \"wasi\")]\n    #[doc(hidden)]\n    pub fn is_there(&self) -> bool {\n        \
              self.inner.as_current_thread().is_open()\n    }\n\n    /// Enters the runtime context.",
        what: "the handle of a runtime",
    },
    Edit {
        file: "runtime/handle.rs",
        find: "            scheduler::Handle::CurrentThread(_) => RuntimeFlavor::CurrentThread,\n",
        put: r#"            #[cfg(target_os = "wasi")]
            scheduler::Handle::CurrentThread(ref handle)
                if handle.many_threads.load(std::sync::atomic::Ordering::Relaxed) =>
            {
                RuntimeFlavor::MultiThread
            }
            scheduler::Handle::CurrentThread(_) => RuntimeFlavor::CurrentThread,
"#,
        what: "the flavour of a runtime",
    },
    Edit {
        file: "runtime/handle.rs",
        find: "        // Enter the runtime context. This sets the current driver handles and\n",
        put: r#"        #[cfg(target_os = "wasi")]
        {
            let handle = self.inner.as_current_thread();
            if let Some(scheduler) = handle.scheduler.get().filter(|_| handle.is_open()) {
                return scheduler.block_on(&self.inner, future);
            }
        }
        // Enter the runtime context. This sets the current driver handles and
"#,
        what: "Handle::block_on",
    },
];

/// Makes the changes to a file of tokio's, named from `src`. None if there are none.
pub(crate) fn apply(file: &str, text: &str) -> Result<Option<String>> {
    let mut changed = None;
    for edit in EDITS.iter().filter(|edit| edit.file == file) {
        let text: &str = changed.as_deref().unwrap_or(text);
        if !text.contains(edit.find) {
            return Err(format!(
                "this tokio has another form of {} ({file}): this command does not know it",
                edit.what
            ));
        }
        changed = Some(text.replace(edit.find, edit.put));
    }
    Ok(changed)
}

/// The files that have to be there.
pub(crate) fn files() -> impl Iterator<Item = &'static str> {
    EDITS.iter().map(|edit| edit.file)
}
