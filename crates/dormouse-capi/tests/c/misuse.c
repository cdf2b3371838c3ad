/* Misuse, as the manual's tables have it: `cargo xtask capi build` puts a line for each row where it says so below. Prints each
 * call and what it returned, and ends with 1 if one of them is not what the manual says. */
#include <stdio.h>
#include <string.h>
#include <dormouse.h>

static dm_handle listener, stream, closed, udp, lookup, timer;
static dm_addr addr, nonsense;
static int wrong;

static void call(void *arg) {
    (void)arg;
}

static void check(const char *what, int64_t got, int64_t wanted) {
    printf("%s %s\n", got == wanted ? "ok" : "WRONG", what);
    if (got != wanted) {
        printf("it is %lld and not %lld\n", (long long)got, (long long)wanted);
        wrong = 1;
    }
}

/* Where the host has no datagrams and no names, there are none to misuse. */
#define CHECK(CALL, RESULT)                                                        \
    do {                                                                           \
        if (udp == 0 && (strstr(#CALL, "(udp") || strstr(#CALL, "(lookup"))) {     \
            printf("left out %s\n", #CALL);                                        \
        } else {                                                                   \
            check(#CALL, CALL, RESULT);                                            \
        }                                                                          \
    } while (0)

static void inside(void) {
    dm_handle handle;
    uint8_t buf[16] = {0};
    char text[60];
    /* INSIDE */
}

static void outside(void) {
    dm_handle handle;
    /* OUTSIDE */
}

/* The first client's connection is closed, and the second one's is in its place. */
static void serve(void *arg) {
    int code;
    if (closed == 0) {
        code = dm_accept(listener, &closed, NULL);
        if (code == 0) {
            dm_close(closed);
        }
    } else {
        code = dm_accept(listener, &stream, NULL);
        if (code == 0) {
            inside();
            dm_close(stream);
            dm_close(listener);
            dm_close(timer);
            if (udp != 0) {
                dm_close(udp);
                dm_close(lookup);
            }
            return;
        }
    }
    if (code == 0) {
        serve(arg);
        return;
    }
    check("dm_when(listener)", dm_when(listener, DM_READ, serve, arg), 0);
}

static void begin(void *arg) {
    char name[64] = "";
    nonsense.family = 5;
    check("dm_addr_parse", dm_addr_parse("127.0.0.1:0", &addr), 0);
    check("dm_tcp_listen_or_preopened", dm_tcp_listen_or_preopened(&addr, &listener), 0);
    check("dm_sleep", dm_sleep(UINT64_C(3600000000000), call, NULL, &timer), 0);
    if (dm_udp_bind(&addr, &udp) == 0) {
        check("dm_lookup", dm_lookup("127.0.0.1:80", &lookup), 0);
    }
    dm_describe(listener, name, sizeof name);
    printf("listening on %s\n", name);
    fflush(stdout);
    serve(arg);
}

int main(void) {
    check("dm_run", dm_run(begin, NULL), 0);
    outside();
    return wrong;
}
