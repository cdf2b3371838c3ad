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
    // What was written to sockets and standard output is seen off when the runtime ends.
    Edit {
        file: "runtime/park.rs",
        find: "    fn shutdown(&self) {\n",
        put: "    fn shutdown(&self) {\n        #[cfg(target_os = \"wasi\")]\n        ::dormouse::foreign::settle();\n",
        what: "the end of a parker",
    },
    // There is one thread: what would be given to another one runs here and now.
    Edit {
        file: "runtime/blocking/pool.rs",
        find: "    fn spawn_task(&self, task: Task, rt: &Handle) -> Result<(), SpawnError> {\n",
        put: "    fn spawn_task(&self, task: Task, rt: &Handle) -> Result<(), SpawnError> {\n        #[cfg(target_os = \
              \"wasi\")]\n        {\n            let _ = rt;\n            task.run();\n            return Ok(());\n        \
              }\n",
        what: "the start of what blocks",
    },
    Edit {
        file: "runtime/builder.rs",
        find: "            Kind::MultiThread => self.build_threaded_runtime(),\n",
        put: "            #[cfg(target_os = \"wasi\")]\n            Kind::MultiThread => \
              self.build_current_thread_runtime(),\n            #[cfg(all(feature = \"rt-multi-thread\", \
              not(target_os = \"wasi\")))]\n            Kind::MultiThread => self.build_threaded_runtime(),\n",
        what: "the runtime of many threads",
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
