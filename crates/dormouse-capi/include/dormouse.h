/* Dormouse for C: sockets, timers, and the one waiting call. README.md beside this directory is the manual.
 *
 * Results are 0 or a count, or a negative number of this target's <errno.h>. "Never blocks" means what it says: a call that would have to
 * wait returns -EAGAIN. The library is of one thread: each thread has its own loop and its own handles.
 *
 * Made of crates/dormouse-capi/src by `cargo xtask header`; do not edit. */

#ifndef DORMOUSE_H
#define DORMOUSE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

// To read: something has come, a connection is to be accepted, a datagram, the end, or an error.
#define DM_READ 1

// To write: there is room, or an error.
#define DM_WRITE 2

// Now: as a deadline, one that has passed; in `dm_poll`, look and do not wait.
#define DM_NOW 0

// Never: as a deadline, none.
#define DM_FOREVER UINT64_MAX

// The version of this header: major, minor and patch, two digits each. Before 1.0 a new minor may change anything.
#define DM_VERSION 100

// An IP address with a port.
typedef struct {
  // 4 or 6.
  uint16_t family;
  // The port, in the machine's byte order.
  uint16_t port;
  // The address as it is written, the first byte first: four bytes of it if `family` is 4.
  uint8_t ip[16];
  // Of IPv6: which interface.
  uint32_t scope;
  // Of IPv6.
  uint32_t flow;
} dm_addr;

// Names a socket, a lookup or a timer. It is given out once: that of something that was closed is `-EBADF`, for ever, and on
// every thread but its own. 0 is none.
typedef uint64_t dm_handle;

// A side that `dm_watch` waited for, and that is worth another try.
typedef struct {
  // What `dm_watch` was given.
  uint64_t token;
  // On which handle; it may have been closed meanwhile.
  dm_handle handle;
  // On which side: `DM_READ` or `DM_WRITE`.
  uint32_t side;
  // 0.
  uint32_t _reserved;
} dm_event;

// What the library calls back, with the argument that was given with it. It must not throw, nor `longjmp` out.
typedef void (*dm_call)(void *arg);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library that is linked; compare it with `DM_VERSION`. Never blocks.
uint32_t dm_version(void);

// Reads `127.0.0.1:80` or `[::1]:80`; names are not looked up. Never blocks.
//
// # Errors
// `-EINVAL` for what is no such text, `-EFAULT` for null.
//
// # Safety
// `text` is null or ends with a 0; `addr` is null or points to an address.
int dm_addr_parse(const char *text, dm_addr *addr);

// Writes an address as text, cut off if need be, with a 0 at its end; returns its whole length, as `snprintf` does. 60 bytes
// are enough for each. Never blocks.
//
// # Errors
// `-EAFNOSUPPORT` if its family is neither 4 nor 6, `-EFAULT` for null.
//
// # Safety
// `addr` is null or points to an address, and `buf` to `len` bytes; it may be null if `len` is 0.
int64_t dm_addr_format(const dm_addr *addr, char *buf, size_t len);

// Writes the sentence of this thread's last error: what was tried, and what to do. It is cut off if need be, with a 0 at its
// end. Returns its whole length, without that, as `snprintf` does. `-EAGAIN` is no error and leaves it as it was; before the
// first it is empty. Never blocks.
//
// # Safety
// `buf` points to `len` bytes; it may be null if `len` is 0.
int64_t dm_message(char *buf, size_t len);

// Begins to look up `localhost:80`. `lookup` gets a handle, of which `dm_lookup_next` takes the addresses; wait for it on `DM_READ`, and
// close it. Never blocks; natively a thread of its own waits.
//
// # Errors
// `-ENOENT` if there is no such name, `-EACCES` if the host refuses lookups (`dormouse run --allow-dns`), `-ENOTSUP` on wasip1, `-EINVAL`
// for what is neither name nor address, at once or as what `dm_lookup_next` says; `-EFAULT`, `-EPERM` inside no loop, `-ENFILE`.
//
// # Safety
// `name` is null or ends with a 0, and is not kept; `lookup` is null or points to a handle.
int dm_lookup(const char *name, dm_handle *lookup);

// Gives the next address of a lookup, in the order in which the host would try them: returns 1 and sets `addr`, or returns 0 if there
// are no more. Never blocks.
//
// # Errors
// `-EAGAIN` while it is being looked up, and what went wrong with that; `-EBADF`, `-ENOTSOCK`, `-EFAULT`.
//
// # Safety
// `addr` is null or points to an address.
int dm_lookup_next(dm_handle lookup, dm_addr *addr);

// Enters the loop, for a program with a scheduler of its own; `dm_run` does it by itself. Never blocks.
//
// # Errors
// `-EBUSY` if the thread is in one; `-ENOTSUP` on a host of WASI 0.2 in a program for 0.3.
int dm_begin(void);

// Leaves the loop of `dm_begin`. **Blocks** up to five seconds for what was written and is still on its way. Sockets that are
// open stay open; timers and waiters are forgotten.
//
// # Errors
// `-EPERM` without a `dm_begin`; `-EBUSY` in a callback.
int dm_end(void);

// The one waiting call, for the idle path of a scheduler: **blocks**, with the whole program, until a waiter is due, or until the
// clock of `dm_now` says `until`: `DM_NOW` only looks, `DM_FOREVER` waits for as long as it takes.
// Reports up to `count` tokens in `events`, in the order in which they became due, and returns how many; what there is no room for is for the
// next call. Callbacks are called meanwhile, and if there was one it returns as well, perhaps with 0.
//
// # Errors
// `-EDEADLK` if `until` is `DM_FOREVER` and there is no waiter: the wait would not end. `-EPERM` without a `dm_begin`, `-EBUSY` in a
// callback, `-EFAULT` if `events` is null and `count` not 0, and what the host says if it cannot wait.
//
// # Safety
// `events` points to `count` of them; it may be null if `count` is 0.
int dm_poll(dm_event *events, size_t count, uint64_t until);

// Calls `call(arg)`, and then whatever is due, and sleeps in between in one host call, until nothing is left that could be
// called, or until `dm_stop`. **Blocks** for as long as that takes, and at its end up to five seconds for what was written and is still
// on its way. Returns 0, or what `dm_stop` was given.
//
// A callback may do 128 operations, and each 2 KiB that an operation moves count as one more. From then on each operation says `-EAGAIN`,
// and `dm_when` calls it again at once: so a busy connection does not starve the others.
//
// Sockets that are open at the end stay open, and can be used in another `dm_run`. Timers and waiters are forgotten.
//
// # Errors
// `-EBUSY` inside another `dm_run`, or between `dm_begin` and `dm_end`; `-EFAULT` if `call` is null; `-EDEADLK` if all that is left is
// a timer that never ends; `-ENOTSUP` on a host of WASI 0.2 in a program for 0.3.
//
// # Safety
// `call` may be called with `arg`.
int dm_run(dm_call call, void *arg);

// Ends `dm_run`, which returns `code` when the callback that called this has returned; nothing more is called. Never blocks.
//
// # Errors
// `-EINVAL` if `code` is negative; `-EPERM` outside of `dm_run`.
int dm_stop(int code);

// Has `call(arg)` called soon, by `dm_run` or `dm_poll`, after those that are due already. Never blocks.
//
// # Errors
// `-EFAULT` if `call` is null; `-EPERM` inside no loop.
//
// # Safety
// `call` may be called with `arg` on this thread.
int dm_spawn(dm_call call, void *arg);

// Has `call(arg)` called, once, after `nanoseconds`, and not earlier. Never blocks; it reads the clock.
//
// `timer`, which may be null, gets a handle that is gone once the call is made: until then `dm_close` stops it, and if that
// returns 0 it is not called any more.
//
// # Errors
// As `dm_spawn`.
//
// # Safety
// As `dm_spawn`; `timer` is null or points to a handle.
int dm_sleep(uint64_t nanoseconds, dm_call call, void *arg, dm_handle *timer);

// Has `call(arg)` called, once, when the clock of `dm_now` says `until`, as `dm_sleep`; makes no host call.
//
// # Errors
// As `dm_spawn`.
//
// # Safety
// As `dm_sleep`.
int dm_sleep_until(uint64_t until, dm_call call, void *arg, dm_handle *timer);

// The clock, in nanoseconds from whenever the host begins to count; it never goes back. One host call; never blocks.
uint64_t dm_now(void);

// Whether a handle is open: 0, `-EAGAIN` while it is being opened, or what went wrong, which every operation on it says as well. Never
// blocks.
//
// # Errors
// `-EBADF`.
int dm_opened(dm_handle handle);

// Closes a handle of any kind; it is `-EBADF` from now on. Its waiters are due, and get that. What was written is still
// sent: the loop sees to that, and this **never blocks**. A timer is stopped: it is not called any more.
//
// # Errors
// `-EBADF`, also the second time, and for a timer that has been called.
int dm_close(dm_handle handle);

// Sets the deadline of operations on these sides of a socket, on the clock of `dm_now`: when it has passed they say `-ETIMEDOUT`, and all
// waiters are due. `DM_FOREVER` is no deadline, as at first; `DM_NOW` has passed. A listener has only the one of `DM_READ`. Never
// blocks; makes no host call.
//
// # Errors
// `-EBADF`; `-ENOTSOCK` for a lookup or a timer; `-EAGAIN` while it is being opened; `-EINVAL` unless `sides` are of `DM_READ | DM_WRITE`.
int dm_deadline(dm_handle handle, uint32_t sides, uint64_t until);

// Gives this end's address. Never blocks.
//
// # Errors
// `-ENOTSUP` on wasip1, which has no call for it (`dm_describe` says what is known); `-EBADF`, `-ENOTSOCK`, `-EFAULT`, `-EAGAIN` while it
// is being opened, and what the host says.
//
// # Safety
// `addr` is null or points to an address.
int dm_local_addr(dm_handle handle, dm_addr *addr);

// Gives the other end's address, of a connection or of a UDP socket that is connected. Never blocks.
//
// # Errors
// As `dm_local_addr`; `-ENOTCONN` if there is none, or none any more.
//
// # Safety
// `addr` is null or points to an address.
int dm_peer_addr(dm_handle handle, dm_addr *addr);

// Writes what a listener listens on, as text: its address, or `FD 3` where no address is known. As `dm_addr_format`; 60 bytes are
// enough. Never blocks.
//
// # Errors
// `-EBADF`, `-ENOTSOCK` for all but listeners, `-EAGAIN` while it is being opened, `-EFAULT`.
//
// # Safety
// `buf` points to `len` bytes; it may be null if `len` is 0.
int64_t dm_describe(dm_handle handle, char *buf, size_t len);

// Sets whether small writes to a connection are sent at once (TCP_NODELAY). Never blocks.
//
// # Errors
// `-ENOTSUP` under WASI, which has no such option, but for `on` where the runner has set it already; `-EBADF`, `-ENOTSOCK`, `-EAGAIN`
// while it is being opened, `-EINVAL` unless `on` is 0 or 1.
int dm_nodelay(dm_handle handle, int on);

// Begins to listen on an address; port 0 lets the host choose one, which `dm_local_addr` tells. Never blocks: where the host takes
// time, operations say `-EAGAIN` until it is through, and `dm_opened` whether it is.
//
// # Errors
// `-EADDRINUSE`, `-EADDRNOTAVAIL`, `-EACCES` if the host's policy refuses the address, `-ENOTSUP` on wasip1, `-EFAULT`, `-EAFNOSUPPORT`,
// `-EPERM` inside no loop, `-ENFILE`. What the host says later, operations on the handle say.
//
// # Safety
// `addr` is null or points to an address, and `listener` to a handle.
int dm_tcp_listen(const dm_addr *addr, dm_handle *listener);

// Takes the next listener that the host opened before the program began, if there is one, and else does `dm_tcp_listen`: so one
// program serves on every host. On wasip1 `dormouse run --listen ADDR` opens it, and `addr` is not looked at; natively it is systemd's
// socket activation.
//
// # Errors
// As `dm_tcp_listen`; on wasip1 `-ENOTSUP` if there is none.
//
// # Safety
// As `dm_tcp_listen`.
int dm_tcp_listen_or_preopened(const dm_addr *addr, dm_handle *listener);

// Gives the listener that the host opened as this descriptor: wasip1 only. The descriptor is Dormouse's from now on; a call that
// asks for it again shares it, and it is closed with the last handle. Never blocks.
//
// # Errors
// `-ENOENT` if there is no such descriptor, `-EINVAL` if it is no stream socket or one that was accepted, `-ENOTSUP` on other targets,
// `-EFAULT`, `-EPERM` inside no loop. One that does not listen says so in `dm_accept`.
//
// # Safety
// `listener` is null or points to a handle.
int dm_tcp_listener_from_fd(uint32_t fd, dm_handle *listener);

// Gives the connection that the host opened as this descriptor, as `dm_tcp_listener_from_fd`.
//
// # Errors
// As `dm_tcp_listener_from_fd`.
//
// # Safety
// `stream` is null or points to a handle.
int dm_tcp_from_fd(uint32_t fd, dm_handle *stream);

// Begins to connect to an address. Never blocks: operations say `-EAGAIN` until it is connected, and `dm_opened` whether it is. To give
// it up, close it.
//
// # Errors
// `-EACCES` if the host's policy refuses the address, `-ENOTSUP` on wasip1, `-EFAULT`, `-EAFNOSUPPORT`, `-EPERM` inside no loop,
// `-ENFILE`. `-ECONNREFUSED`, `-ETIMEDOUT`, `-EHOSTUNREACH` and the like may come at once, or be what operations on the handle say.
//
// # Safety
// `addr` is null or points to an address, and `stream` to a handle.
int dm_tcp_dial(const dm_addr *addr, dm_handle *stream);

// Begins to connect to `localhost:80`, or to an address as text. A name is looked up, and if it has several addresses they are
// raced (Happy Eyeballs, RFC 8305). Never blocks.
//
// # Errors
// As `dm_tcp_dial` and `dm_lookup`.
//
// # Safety
// `name` is null or ends with a 0, and is not kept; `stream` is null or points to a handle.
int dm_tcp_dial_name(const char *name, dm_handle *stream);

// Takes a connection. `stream` gets its handle, and `peer`, which may be null, where it comes from: `0.0.0.0:0` on wasip1,
// where it is not known. Never blocks.
//
// # Errors
// `-EAGAIN` if there is none; `-ETIMEDOUT` after the deadline; `-EBADF`; `-ENOTSOCK`; `-EFAULT`; `-ENFILE`; and what the host says.
// Some errors pass, as `dm_is_transient` tells. `-ECONNABORTED` is of one connection. After `-EMFILE`, no more descriptors, and `-ENOMEM`
// the listener pauses: it says `-EAGAIN` and wakes no waiter until a handle has been closed, or for a time, which is 5 ms and is doubled
// at each failure up to a second. So wait with `dm_when` or `dm_watch` as after `-EAGAIN`.
//
// # Safety
// `stream` is null or points to a handle, and `peer` to an address.
int dm_accept(dm_handle listener, dm_handle *stream, dm_addr *peer);

// Whether an accept that returned `code` failed for a reason that passes, so that the listener is as good as before: 1 or 0. After
// all other errors give up. `-EAGAIN` is no error, and gives 0. Never blocks.
int dm_is_transient(int code);

// Reads what has come, up to `len` bytes, and returns how many; 0 is the end of the stream (or a `len` of 0). `buf` is the
// caller's, and is not kept. Never blocks. After a read of less than `len` the next may say `-EAGAIN` once without asking the host.
//
// # Errors
// `-EAGAIN` if nothing has come; `-ETIMEDOUT` after the deadline; `-EBADF`; `-ENOTSOCK`; `-EFAULT`; `-EINVAL` for a `len` above PTRDIFF_MAX;
// `-ECONNRESET` and what else the host says.
//
// # Safety
// `buf` points to `len` bytes; it may be null if `len` is 0.
int64_t dm_read(dm_handle handle, uint8_t *buf, size_t len);

// Writes some of `len` bytes, and returns how many. `buf` is the caller's, and is not kept. Never blocks.
//
// # Errors
// `-EAGAIN` if there is no room; `-EPIPE` or `-ECONNRESET` when the peer has gone; and as `dm_read`.
//
// # Safety
// `buf` points to `len` bytes; it may be null if `len` is 0.
int64_t dm_write(dm_handle handle, const uint8_t *buf, size_t len);

// Ends reading, writing (a half close: the peer reads to the end and may still send) or both. What was written before is still sent. Never
// blocks.
//
// # Errors
// `-ENOTCONN` if the peer has gone; `-EAGAIN` while it is being opened; `-EBADF`; `-ENOTSOCK`; `-EINVAL` unless `sides` are of
// `DM_READ | DM_WRITE`.
int dm_shutdown(dm_handle handle, uint32_t sides);

// Opens a socket with this address of its own; port 0 lets the host choose one, which `dm_local_addr` tells. Never blocks, as
// `dm_tcp_listen`.
//
// # Errors
// As `dm_tcp_listen`.
//
// # Safety
// `addr` is null or points to an address, and `socket` to a handle.
int dm_udp_bind(const dm_addr *addr, dm_handle *socket);

// Names the one peer: `dm_send` sends to it, and only what comes from it is received. Another call names another peer. Never blocks, but
// on wasip2 it waits for the host to let go of a receive that was waited for; what arrives in that moment is lost.
//
// # Errors
// The socket keeps the peer that it had before. `-EINVAL` for port 0 and for an address of the other family; `-EACCES` if the host's
// policy refuses the address, `-EBADF`, `-ENOTSOCK`, `-EFAULT`, `-EAFNOSUPPORT`, `-EAGAIN` while it is being opened, and what the host
// says.
//
// # Safety
// `addr` is null or points to an address.
int dm_udp_connect(dm_handle handle, const dm_addr *addr);

// Sends a datagram to the peer of `dm_udp_connect`, and returns its length. `buf` is the caller's, and is not kept. Never blocks.
//
// # Errors
// `-EAGAIN` if there is no room; `-EMSGSIZE` if it is too large; `-ECONNREFUSED` if an earlier one was refused; `-ETIMEDOUT` after the
// deadline; `-ENOTCONN` if there is no peer; `-EBADF`; `-ENOTSOCK`; `-EFAULT`; and what else the host says.
//
// # Safety
// `buf` points to `len` bytes; it may be null if `len` is 0.
int64_t dm_send(dm_handle handle, const uint8_t *buf, size_t len);

// Sends a datagram to this address, as `dm_send`.
//
// # Errors
// As `dm_send`; `-EACCES` if the host's policy refuses the address, `-EAFNOSUPPORT`; `-EINVAL` for port 0, for an address of the other
// family, and on WASI for another address than the peer's.
//
// # Safety
// As `dm_send`; `to` is null or points to an address.
int64_t dm_send_to(dm_handle handle, const uint8_t *buf, size_t len, const dm_addr *to);

// Receives a datagram, and returns its length; what there is no room for is lost. `from`, which may be null, gets its sender. `buf` is the
// caller's, and is not kept. Never blocks.
//
// # Errors
// `-EAGAIN` if none has come; `-ETIMEDOUT` after the deadline; `-ECONNREFUSED` if what was sent was refused; `-EBADF`; `-ENOTSOCK`;
// `-EFAULT`; `-EINVAL` for a `len` above PTRDIFF_MAX.
//
// # Safety
// `buf` points to `len` bytes, it may be null if `len` is 0; `from` is null or points to an address.
int64_t dm_recv_from(dm_handle handle, uint8_t *buf, size_t len, dm_addr *from);

// Has `call(arg)` called, once, when it is worth trying on this side of `handle` again: something has come or there is room, it
// has been opened or that has failed, the deadline has passed, or it was closed. That is a hint: the next try may say `-EAGAIN` once more.
// Any number may wait. Is called by `dm_run` or `dm_poll`, never by this function. Never blocks.
//
// `arg` stays the caller's; it must be there until it is called, or until `dm_forget`.
//
// # Errors
// `-EBADF`; `-ENOTSOCK` for a timer; `-EINVAL` unless `side` is `DM_READ` or `DM_WRITE`; `-EFAULT` if `call` is null; `-EPERM` inside no
// loop.
//
// # Safety
// `call` may be called with `arg` on this thread.
int dm_when(dm_handle handle, uint32_t side, dm_call call, void *arg);

// Has `dm_poll` report `token`, once, when it is worth trying on this side of `handle` again: as `dm_when`. Never blocks.
//
// # Errors
// As `dm_when`; `-EPERM` in `dm_run`, which reports no tokens.
int dm_watch(dm_handle handle, uint32_t side, uint64_t token);

// Forgets all waiters of these sides of `handle`, those that are due as well: after this none of them is called or reported. Never
// blocks.
//
// # Errors
// `-EBADF`; `-ENOTSOCK` for a timer, which `dm_close` stops; `-EINVAL` unless `sides` are of `DM_READ | DM_WRITE`.
int dm_forget(dm_handle handle, uint32_t sides);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* DORMOUSE_H */
