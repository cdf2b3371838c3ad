//! The canonical built-ins by which a program of WASI 0.3 reads, writes and waits. The engine has them, not the linker.

use wasmparser::CanonicalFunction;

/// The name of a built-in that is a call of the host, as in the component model's specification.
pub(super) fn name(function: &CanonicalFunction) -> Option<&'static str> {
    use CanonicalFunction as Is;
    Some(match function {
        // Not built in, or of the component's own resources.
        Is::Lift { .. }
        | Is::Lower { .. }
        | Is::ResourceNew { .. }
        | Is::ResourceDrop { .. }
        | Is::ResourceRep { .. } => {
            return None;
        }
        // A word of the thread's, which compiled code reads and writes by itself.
        Is::ContextGet { .. } | Is::ContextSet { .. } => return None,
        Is::ThreadSpawnRef { .. } => "thread.spawn-ref",
        Is::ThreadSpawnIndirect { .. } => "thread.spawn-indirect",
        Is::ThreadAvailableParallelism => "thread.available-parallelism",
        Is::ThreadIndex => "thread.index",
        Is::ThreadNewIndirect { .. } => "thread.new-indirect",
        Is::ThreadResumeLater => "thread.resume-later",
        Is::ThreadSuspend { .. } => "thread.suspend",
        Is::ThreadSuspendThenResume { .. } => "thread.suspend-then-resume",
        Is::ThreadSuspendThenPromote { .. } => "thread.suspend-then-promote",
        Is::ThreadYield { .. } => "thread.yield",
        Is::ThreadYieldThenResume { .. } => "thread.yield-then-resume",
        Is::ThreadYieldThenPromote { .. } => "thread.yield-then-promote",
        Is::BackpressureInc => "backpressure.inc",
        Is::BackpressureDec => "backpressure.dec",
        Is::TaskReturn { .. } => "task.return",
        Is::TaskCancel => "task.cancel",
        Is::SubtaskDrop => "subtask.drop",
        Is::SubtaskCancel { .. } => "subtask.cancel",
        Is::StreamNew { .. } => "stream.new",
        Is::StreamRead { .. } => "stream.read",
        Is::StreamWrite { .. } => "stream.write",
        Is::StreamCancelRead { .. } => "stream.cancel-read",
        Is::StreamCancelWrite { .. } => "stream.cancel-write",
        Is::StreamDropReadable { .. } => "stream.drop-readable",
        Is::StreamDropWritable { .. } => "stream.drop-writable",
        Is::FutureNew { .. } => "future.new",
        Is::FutureRead { .. } => "future.read",
        Is::FutureWrite { .. } => "future.write",
        Is::FutureCancelRead { .. } => "future.cancel-read",
        Is::FutureCancelWrite { .. } => "future.cancel-write",
        Is::FutureDropReadable { .. } => "future.drop-readable",
        Is::FutureDropWritable { .. } => "future.drop-writable",
        Is::ErrorContextNew { .. } => "error-context.new",
        Is::ErrorContextDebugMessage { .. } => "error-context.debug-message",
        Is::ErrorContextDrop => "error-context.drop",
        Is::WaitableSetNew => "waitable-set.new",
        Is::WaitableSetWait { .. } => "waitable-set.wait",
        Is::WaitableSetPoll { .. } => "waitable-set.poll",
        Is::WaitableSetDrop => "waitable-set.drop",
        Is::WaitableJoin => "waitable.join",
    })
}
