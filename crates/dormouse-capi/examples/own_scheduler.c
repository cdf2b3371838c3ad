/* The same server as echo_ticker.c, on a scheduler of its own. It stands for a language that has coroutines: they run in its order,
 * park where it wants them to, and sleep in its list. All that Dormouse gets of it is the idle path, `idle` below: when no coroutine
 * can run, one call waits for the nearest sleeper and for every parked socket, and hands back the coroutines that may go on. */
#include <stdio.h>
#include <stdlib.h>

#include "dormouse.h"

#define SECOND UINT64_C(1000000000)

/* ---- the scheduler ---- */

struct coroutine {
    /* Runs it until it parks, sleeps or ends; true if it has ended. A language would switch stacks here. */
    int (*resume)(struct coroutine *);
    struct coroutine *next; /* in the one list that it is in */
    uint64_t wake_at;       /* of a sleeper */
};

static struct coroutine *runnable, **last = &runnable;
static struct coroutine *sleepers; /* the earliest first */
static long alive;

static void ready(struct coroutine *co) {
    co->next = NULL;
    *last = co;
    last = &co->next;
}

static void go(struct coroutine *co) {
    alive++;
    ready(co);
}

/* Parks it until `handle` is worth another try. The token is the coroutine. */
static int park(struct coroutine *co, dm_handle handle, uint32_t side) {
    return dm_watch(handle, side, (uint64_t)(uintptr_t)co);
}

static void sleep_until(struct coroutine *co, uint64_t when) {
    struct coroutine **at = &sleepers;
    while (*at != NULL && (*at)->wake_at <= when) {
        at = &(*at)->next;
    }
    co->wake_at = when;
    co->next = *at;
    *at = co;
}

/* No task can run: the one call that waits. */
static int idle(void) {
    dm_event events[64];
    uint64_t until = sleepers != NULL ? sleepers->wake_at : DM_FOREVER;
    int count = dm_poll(events, sizeof events / sizeof events[0], until);
    for (int i = 0; i < count; i++) {
        ready((struct coroutine *)(uintptr_t)events[i].token);
    }
    /* It was the time, perhaps: the clock is read only if nothing else can have been it. */
    if (count == 0 && sleepers != NULL) {
        uint64_t now = dm_now();
        while (sleepers != NULL && sleepers->wake_at <= now) {
            struct coroutine *co = sleepers;
            sleepers = co->next;
            ready(co);
        }
    }
    return count;
}

/* Runs until all have ended, or nothing can ever wake one. */
static int schedule(void) {
    while (alive > 0) {
        struct coroutine *co = runnable;
        if (co == NULL) {
            int code = idle();
            if (code < 0) {
                return code;
            }
            continue;
        }
        runnable = co->next;
        if (runnable == NULL) {
            last = &runnable;
        }
        if (co->resume(co)) {
            alive--;
            free(co);
        }
    }
    return 0;
}

/* ---- the program ---- */

static const char *address = "127.0.0.1:0";
static long clients; /* to come; 0 is no limit */
static long served;
static dm_handle listener;

static int failed(const char *what, int64_t code) {
    char message[256] = "";
    dm_message(message, sizeof message);
    fprintf(stderr, "%s: %s (%lld)\n", what, message, (long long)code);
    return 1;
}

struct conn {
    struct coroutine co;
    dm_handle handle;
    size_t start, end; /* what has been read and not written yet */
    uint8_t buf[4096];
};

static int serve(struct coroutine *co) {
    struct conn *conn = (struct conn *)co;
    for (;;) {
        int reading = conn->start == conn->end;
        int64_t moved = reading ? dm_read(conn->handle, conn->buf, sizeof conn->buf)
                                : dm_write(conn->handle, conn->buf + conn->start, conn->end - conn->start);
        if (moved == -EAGAIN) {
            int code = park(co, conn->handle, reading ? DM_READ : DM_WRITE);
            return code < 0 ? failed("waiting for a client", code) : 0;
        }
        if (moved < 0 || (reading && moved == 0)) {
            dm_close(conn->handle);
            served++;
            if (served == clients) {
                dm_close(listener); /* which wakes who waits for it: his next try is -EBADF */
            }
            return 1;
        }
        if (reading) {
            conn->start = 0;
            conn->end = (size_t)moved;
        } else {
            conn->start += (size_t)moved;
        }
    }
}

static int accept_all(struct coroutine *co) {
    dm_handle handle;
    int code;
    while ((code = dm_accept(listener, &handle, NULL)) == 0) {
        struct conn *conn = malloc(sizeof *conn);
        if (conn == NULL) {
            dm_close(handle);
            continue;
        }
        conn->co.resume = serve;
        conn->handle = handle;
        conn->start = conn->end = 0;
        go(&conn->co);
    }
    if (code == -EAGAIN || dm_is_transient(code)) {
        code = park(co, listener, DM_READ);
    }
    if (code == 0) {
        return 0;
    }
    return code == -EBADF ? 1 : failed("accept", code);
}

static int tick(struct coroutine *co) {
    static long n;
    if (clients != 0 && served == clients) {
        return 1;
    }
    if (co->wake_at == 0) {
        co->wake_at = dm_now();
    } else {
        printf("tick %ld\n", ++n);
        fflush(stdout);
    }
    sleep_until(co, co->wake_at + SECOND);
    return 0;
}

static int spawn(int (*resume)(struct coroutine *)) {
    struct coroutine *co = calloc(1, sizeof *co);
    if (co == NULL) {
        return -ENOMEM;
    }
    co->resume = resume;
    go(co);
    return 0;
}

static int run(void) {
    char name[64];
    dm_addr addr;
    int code = dm_addr_parse(address, &addr);
    if (code == 0) {
        code = dm_tcp_listen_or_preopened(&addr, &listener);
    }
    if (code < 0) {
        return failed(address, code);
    }
    dm_describe(listener, name, sizeof name);
    printf("listening on %s\n", name);
    fflush(stdout);
    if (spawn(tick) < 0 || spawn(accept_all) < 0) {
        return 1;
    }
    code = schedule();
    return code < 0 ? failed("the scheduler", code) : 0;
}

int main(int argc, char **argv) {
    if (argc > 1) {
        address = argv[1];
    }
    if (argc > 2) {
        clients = strtol(argv[2], NULL, 10);
    }
    int code = dm_begin();
    if (code < 0) {
        return failed("dm_begin", code);
    }
    code = run();
    dm_end();
    return code;
}
