/* A TCP echo server that ticks each second, whatever its clients do, with callbacks: `echo_ticker [ADDR [CLIENTS]]`, by default on a
 * port that the host chooses, for ever. With CLIENTS it ends when so many have come and gone. Prints `listening on ADDR`, then
 * `tick 1`, `tick 2` … Try, and if that says -EAGAIN have yourself called when another try is worth it: that is all there is. */
#include <stdio.h>
#include <stdlib.h>

#include "dormouse.h"

#define SECOND UINT64_C(1000000000)

static const char *address = "127.0.0.1:0";
static long clients; /* to come; 0 is no limit */
static long served;
static dm_handle listener, timer;

struct conn {
    dm_handle handle;
    size_t start, end; /* what has been read and not written yet */
    uint8_t buf[4096];
};

/* Says what went wrong and ends the loop. */
static void fail(const char *what, int64_t code) {
    char message[256] = "";
    dm_message(message, sizeof message);
    fprintf(stderr, "%s: %s (%lld)\n", what, message, (long long)code);
    dm_stop(1);
}

static void accept_some(void *arg);

static void hang_up(struct conn *conn) {
    dm_close(conn->handle);
    free(conn);
    served++;
    if (served == clients) {
        /* With nothing left to call, dm_run returns. */
        dm_forget(listener, DM_READ);
        dm_close(listener);
        dm_close(timer);
    }
}

/* Reads and writes until one of them would have to wait. */
static void serve(void *arg) {
    struct conn *conn = arg;
    for (;;) {
        int reading = conn->start == conn->end;
        int64_t moved = reading ? dm_read(conn->handle, conn->buf, sizeof conn->buf)
                                : dm_write(conn->handle, conn->buf + conn->start, conn->end - conn->start);
        if (moved == -EAGAIN) {
            int code = dm_when(conn->handle, reading ? DM_READ : DM_WRITE, serve, conn);
            if (code < 0) {
                fail("waiting for a client", code);
            }
            return;
        }
        if (moved < 0 || (reading && moved == 0)) {
            hang_up(conn); /* the client has gone */
            return;
        }
        if (reading) {
            conn->start = 0;
            conn->end = (size_t)moved;
        } else {
            conn->start += (size_t)moved;
        }
    }
}

static void accept_some(void *arg) {
    dm_handle handle;
    int code;
    (void)arg;
    while ((code = dm_accept(listener, &handle, NULL)) == 0) {
        struct conn *conn = malloc(sizeof *conn);
        if (conn == NULL) {
            dm_close(handle);
            continue;
        }
        conn->handle = handle;
        conn->start = conn->end = 0;
        serve(conn);
    }
    if (code == -EAGAIN || dm_is_transient(code)) {
        code = dm_when(listener, DM_READ, accept_some, NULL);
    }
    if (code < 0 && code != -EBADF) {
        fail("accept", code);
    }
}

static void tick(void *arg) {
    static long n;
    static uint64_t next;
    (void)arg;
    if (next == 0) {
        next = dm_now();
    } else {
        printf("tick %ld\n", ++n);
        fflush(stdout);
    }
    next += SECOND;
    dm_sleep_until(next, tick, NULL, &timer);
}

static void begin(void *arg) {
    char name[64];
    dm_addr addr;
    int code = dm_addr_parse(address, &addr);
    (void)arg;
    if (code == 0) {
        code = dm_tcp_listen_or_preopened(&addr, &listener);
    }
    if (code < 0) {
        fail(address, code);
        return;
    }
    dm_describe(listener, name, sizeof name);
    printf("listening on %s\n", name);
    fflush(stdout);
    tick(NULL);
    accept_some(NULL);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        address = argv[1];
    }
    if (argc > 2) {
        clients = strtol(argv[2], NULL, 10);
    }
    int code = dm_run(begin, NULL);
    if (code < 0) {
        fail("dm_run", code);
    }
    return code == 0 ? 0 : 1;
}
