/* Ends in a callback, by exit, in the middle of everything: a callback waits, a timer runs, bytes are on their way. */
#include <stdio.h>
#include <stdlib.h>
#include <dormouse.h>

static dm_handle listener, client, server;

static void never(void *arg) {
    (void)arg;
    abort();
}

/* Later still: the library has let go of everything, natively, and is there to the end under WASI. */
static void at_exit(void) {
    int code = dm_close(listener);
    if (code != 0 && code != -EBADF) {
        abort();
    }
}

static void end(void *arg) {
    static uint8_t block[65536];
    dm_handle timer;
    while (dm_write(client, block, sizeof block) > 0) {
    }
    dm_close(client);
    dm_when(listener, DM_READ, never, arg);
    dm_sleep(UINT64_C(3600000000000), never, arg, &timer);
    puts("bye");
    exit(3);
}

static void begin(void *arg) {
    dm_addr addr;
    if (dm_addr_parse("127.0.0.1:0", &addr) != 0 || dm_tcp_listen_or_preopened(&addr, &listener) != 0) {
        abort();
    }
    if (dm_local_addr(listener, &addr) == 0 && dm_tcp_dial(&addr, &client) == 0) {
        dm_accept(listener, &server, NULL);
    }
    /* Later, when the loop has waited once. */
    dm_sleep(1000000, end, arg, NULL);
}

int main(void) {
    return atexit(at_exit) == 0 ? dm_run(begin, NULL) : 1;
}
