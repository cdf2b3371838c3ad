/* What the library does when it is used as it should be: a program that talks with itself, step by step, by `dm_poll`. Ends with 0
 * and `everything is as it should be`, or with 1 and the line that is not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dormouse.h>

#define MS UINT64_C(1000000)

#define EXPECT(CALL, RESULT)                                                                                      \
    do {                                                                                                          \
        int64_t got = (CALL), wanted = (RESULT);                                                                  \
        if (got != wanted) {                                                                                      \
            char why[256] = "";                                                                                   \
            dm_message(why, sizeof why);                                                                          \
            printf("line %d: %s is %lld and not %lld; the last error: %s\n", __LINE__, #CALL, (long long)got,     \
                   (long long)wanted, why);                                                                       \
            exit(1);                                                                                              \
        }                                                                                                         \
    } while (0)

static dm_handle listener, client, server;
static dm_addr here;

/* Waits until this is worth another try, whatever else is reported meanwhile. */
static void wait_for(dm_handle handle, uint32_t side) {
    dm_event event;
    int count;
    EXPECT(dm_watch(handle, side, handle + side), 0);
    do {
        count = dm_poll(&event, 1, DM_FOREVER);
        EXPECT(count >= 0, 1);
    } while (count == 0 || event.token != handle + side);
    EXPECT(event.handle == handle && event.side == side, 1);
}

static int opened(dm_handle handle) {
    int code;
    while ((code = dm_opened(handle)) == -EAGAIN) {
        wait_for(handle, DM_WRITE);
    }
    return code;
}

static dm_handle accepted(void) {
    dm_handle handle;
    int code;
    while ((code = dm_accept(listener, &handle, NULL)) == -EAGAIN) {
        wait_for(listener, DM_READ);
    }
    EXPECT(code, 0);
    return handle;
}

static int64_t read_some(dm_handle handle, void *buf, size_t len) {
    int64_t n;
    while ((n = dm_read(handle, buf, len)) == -EAGAIN) {
        wait_for(handle, DM_READ);
    }
    return n;
}

static void write_all(dm_handle handle, const char *text) {
    size_t left = strlen(text);
    while (left > 0) {
        int64_t n = dm_write(handle, (const uint8_t *)text, left);
        if (n == -EAGAIN) {
            wait_for(handle, DM_WRITE);
            continue;
        }
        EXPECT(n > 0, 1);
        text += n;
        left -= (size_t)n;
    }
}

static void connect_both(void) {
    EXPECT(dm_tcp_dial(&here, &client), 0);
    EXPECT(opened(client), 0);
    server = accepted();
}

static void a_connection(void) {
    char buf[16];
    dm_addr addr, peer;
    connect_both();
    EXPECT(dm_local_addr(client, &addr), 0);
    EXPECT(dm_peer_addr(server, &peer), 0);
    EXPECT(memcmp(&addr, &peer, sizeof addr), 0);
    write_all(client, "hello");
    EXPECT(read_some(server, buf, sizeof buf), 5);
    EXPECT(memcmp(buf, "hello", 5), 0);
    EXPECT(dm_read(server, (uint8_t *)buf, sizeof buf), -EAGAIN);
    EXPECT(dm_shutdown(client, DM_WRITE), 0);
    EXPECT(read_some(server, buf, sizeof buf), 0);
    write_all(server, "bye");
    EXPECT(read_some(client, buf, sizeof buf), 3);
}

static uint8_t block[65536];

/* Writes until there is no room, and tells how much that was. */
static size_t fill(dm_handle handle) {
    size_t written = 0;
    for (;;) {
        int64_t n = dm_write(handle, block, sizeof block);
        if (n == -EAGAIN && written > 0) {
            return written;
        }
        if (n == -EAGAIN) {
            wait_for(handle, DM_WRITE);
            continue;
        }
        EXPECT(n > 0, 1);
        written += (size_t)n;
    }
}

/* Reads to the end. */
static size_t drain(dm_handle handle) {
    size_t read = 0;
    int64_t n;
    while ((n = read_some(handle, block, sizeof block)) > 0) {
        read += (size_t)n;
    }
    EXPECT(n, 0);
    return read;
}

static void much(void) {
    size_t written;
    connect_both();
    written = fill(client);
    EXPECT(dm_shutdown(client, DM_WRITE), 0);
    EXPECT(drain(server), written);
    EXPECT(dm_close(client), 0);
    EXPECT(dm_close(server), 0);
}

/* What is closed while much is on its way stops no other handle, and nothing of it is lost. */
static void lingering(void) {
    size_t written;
    dm_handle slow;
    connect_both();
    slow = client;
    written = fill(server);
    EXPECT(dm_close(server), 0);
    a_connection();
    EXPECT(dm_close(client), 0);
    EXPECT(dm_close(server), 0);
    EXPECT(drain(slow), written);
    EXPECT(dm_close(slow), 0);
}

static void deadlines(void) {
    uint8_t buf[16];
    dm_event event;
    connect_both();
    EXPECT(dm_deadline(server, DM_READ, dm_now() + 2 * MS), 0);
    EXPECT(read_some(server, buf, sizeof buf), -ETIMEDOUT);
    /* It wins over what has come, and nothing is lost. */
    write_all(client, "x");
    EXPECT(dm_read(server, buf, sizeof buf), -ETIMEDOUT);
    EXPECT(dm_watch(server, DM_READ, 7), 0);
    EXPECT(dm_poll(&event, 1, DM_FOREVER), 1);
    EXPECT(dm_deadline(server, DM_READ | DM_WRITE, DM_FOREVER), 0);
    EXPECT(read_some(server, buf, sizeof buf), 1);
    /* One that is set while a token waits makes it due. */
    EXPECT(dm_watch(server, DM_READ, 8), 0);
    EXPECT(dm_deadline(server, DM_READ, DM_NOW), 0);
    EXPECT(dm_poll(&event, 1, DM_FOREVER), 1);
    EXPECT(event.token, 8);
    EXPECT(dm_read(server, buf, sizeof buf), -ETIMEDOUT);
    EXPECT(dm_deadline(listener, DM_READ, DM_NOW), 0);
    EXPECT(dm_accept(listener, &(dm_handle){0}, NULL), -ETIMEDOUT);
    EXPECT(dm_deadline(listener, DM_READ, DM_FOREVER), 0);
    /* That comes again; these pass. */
    EXPECT(dm_is_transient(-ETIMEDOUT), 0);
    EXPECT(dm_is_transient(-EAGAIN), 0);
    EXPECT(dm_is_transient(0), 0);
    EXPECT(dm_is_transient(-ECONNABORTED), 1);
    EXPECT(dm_is_transient(-EMFILE), 1);
    EXPECT(dm_is_transient(-ENOMEM), 1);
}

static void closing(void) {
    uint8_t buf[16];
    dm_event events[4];
    /* A waiter is told, and the next try says why; two waiters are both told. */
    EXPECT(dm_deadline(server, DM_READ, DM_FOREVER), 0);
    EXPECT(dm_watch(server, DM_READ, 1), 0);
    EXPECT(dm_watch(server, DM_READ, 2), 0);
    EXPECT(dm_close(server), 0);
    EXPECT(dm_poll(events, 1, DM_FOREVER), 1);
    EXPECT(events[0].token, 1);
    EXPECT(dm_poll(events, 4, DM_FOREVER), 1);
    EXPECT(events[0].token, 2);
    EXPECT(dm_read(server, buf, sizeof buf), -EBADF);
    EXPECT(dm_close(client), 0);
    /* A waiter that is forgotten is not told. */
    connect_both();
    EXPECT(dm_watch(server, DM_READ, 1), 0);
    EXPECT(dm_forget(server, DM_READ | DM_WRITE), 0);
    EXPECT(dm_watch(server, DM_READ, 2), 0);
    write_all(client, "x");
    EXPECT(dm_poll(events, 4, DM_FOREVER), 1);
    EXPECT(events[0].token, 2);
    EXPECT(dm_close(client), 0);
    EXPECT(dm_close(server), 0);
}

static void nobody(void) {
    char why[256];
    uint8_t buf[16];
    dm_handle second, third;
    int code = dm_tcp_listen(&here, &second);
    if (code == 0) {
        code = opened(second);
        EXPECT(dm_close(second), 0);
    }
    EXPECT(code, -EADDRINUSE);
    EXPECT(dm_close(listener), 0);
    code = dm_tcp_dial(&here, &third);
    if (code == 0) {
        code = opened(third);
        EXPECT(dm_read(third, buf, sizeof buf), code);
        EXPECT(dm_close(third), 0);
    }
    EXPECT(code, -ECONNREFUSED);
    EXPECT(dm_message(why, sizeof why) > 0, 1);
    EXPECT(strncmp(why, "connect 127.0.0.1:", 18), 0);
    EXPECT(dm_message(why, 8) > 8, 1);
    EXPECT(strcmp(why, "connect"), 0);
}

static int called;

static void count(void *arg) {
    called += *(int *)arg;
}

static void timers(void) {
    int one = 1, many = 100;
    dm_handle kept, stopped;
    uint64_t start = dm_now();
    /* Without a waiter, it waits until then, or says that it would be for ever. */
    EXPECT(dm_poll(NULL, 0, start + MS), 0);
    EXPECT(dm_now() >= start + MS, 1);
    EXPECT(dm_poll(NULL, 0, DM_FOREVER), -EDEADLK);
    char why[128];
    EXPECT(dm_message(why, sizeof why) < (int64_t)sizeof why, 1);
    EXPECT(strncmp(why, "this would wait for ever: ", 26), 0);
    EXPECT(dm_sleep(MS, count, &many, &stopped), 0);
    EXPECT(dm_sleep_until(dm_now(), count, &one, &kept), 0);
    EXPECT(dm_spawn(count, &one), 0);
    EXPECT(called, 0);
    EXPECT(dm_poll(NULL, 0, DM_NOW), 0);
    EXPECT(dm_close(stopped), 0);
    while (called < 2) {
        EXPECT(dm_poll(NULL, 0, DM_FOREVER), 0);
    }
    EXPECT(dm_close(kept), -EBADF);
    EXPECT(dm_poll(NULL, 0, DM_FOREVER), -EDEADLK);
    EXPECT(called, 2);
}

static int64_t receive(dm_handle handle, uint8_t *buf, size_t len, dm_addr *from) {
    int64_t n;
    while ((n = dm_recv_from(handle, buf, len, from)) == -EAGAIN) {
        wait_for(handle, DM_READ);
    }
    return n;
}

static void datagrams(void) {
    static uint8_t large[70000];
    uint8_t buf[16];
    dm_addr any, one_addr, other_addr, from;
    dm_handle one, other;
    EXPECT(dm_addr_parse("127.0.0.1:0", &any), 0);
    EXPECT(dm_udp_bind(&any, &one), 0);
    EXPECT(dm_udp_bind(&any, &other), 0);
    EXPECT(opened(one), 0);
    EXPECT(opened(other), 0);
    EXPECT(dm_local_addr(one, &one_addr), 0);
    EXPECT(dm_local_addr(other, &other_addr), 0);
    EXPECT(dm_recv_from(other, buf, sizeof buf, NULL), -EAGAIN);
    EXPECT(dm_send_to(one, (const uint8_t *)"hello", 5, &other_addr), 5);
    EXPECT(receive(other, buf, sizeof buf, &from), 5);
    EXPECT(memcmp(&from, &one_addr, sizeof from), 0);
    EXPECT(dm_peer_addr(other, &from), -ENOTCONN);
    EXPECT(dm_udp_connect(other, &one_addr), 0);
    EXPECT(dm_peer_addr(other, &from), 0);
    EXPECT(dm_send(other, (const uint8_t *)"hi", 2), 2);
    EXPECT(receive(one, buf, sizeof buf, NULL), 2);
    EXPECT(dm_send(other, large, sizeof large), -EMSGSIZE);
    EXPECT(dm_close(one), 0);
    /* A socket that is waited for without a try, and then names a peer. */
    EXPECT(dm_udp_bind(&any, &one), 0);
    EXPECT(opened(one), 0);
    EXPECT(dm_watch(one, DM_READ, 1), 0);
    EXPECT(dm_poll(NULL, 0, DM_NOW), 0);
    EXPECT(dm_udp_connect(one, &other_addr), 0);
    /* A connect that fails changes nothing. */
    EXPECT(dm_addr_parse("127.0.0.1:0", &any), 0);
    EXPECT(dm_udp_connect(one, &any), -EINVAL);
    EXPECT(dm_peer_addr(one, &from), 0);
    EXPECT(memcmp(&from, &other_addr, sizeof from), 0);
    EXPECT(dm_close(one), 0);
    EXPECT(dm_close(other), 0);
    /* Without a peer, and with one that is not there: the next call says so. */
    EXPECT(dm_udp_bind(&any, &one), 0);
    EXPECT(opened(one), 0);
    EXPECT(dm_send(one, (const uint8_t *)"hi", 2), -ENOTCONN);
    EXPECT(dm_addr_parse("127.0.0.1:1", &from), 0);
    EXPECT(dm_udp_connect(one, &from), 0);
    EXPECT(dm_send(one, (const uint8_t *)"hi", 2), 2);
    EXPECT(receive(one, buf, sizeof buf, NULL), -ECONNREFUSED);
    EXPECT(dm_close(one), 0);
}

static void names(void) {
    char text[64], localhost[64];
    dm_handle lookup, stream;
    dm_addr addr;
    int found, loopback = 0;
    EXPECT(dm_lookup("localhost:80", &lookup), 0);
    while ((found = dm_lookup_next(lookup, &addr)) != 0) {
        if (found == -EAGAIN) {
            wait_for(lookup, DM_READ);
            continue;
        }
        EXPECT(found, 1);
        EXPECT(dm_addr_format(&addr, text, sizeof text) > 0, 1);
        loopback |= strcmp(text, "127.0.0.1:80") == 0 || strcmp(text, "[::1]:80") == 0;
    }
    EXPECT(loopback, 1);
    EXPECT(dm_lookup_next(lookup, &addr), 0);
    EXPECT(dm_close(lookup), 0);
    /* What is no name, and an address with a zone. */
    found = dm_lookup("a\nb:80", &lookup);
    if (found == 0) {
        EXPECT(dm_lookup_next(lookup, &addr), -EINVAL);
        EXPECT(dm_close(lookup), 0);
    } else {
        EXPECT(found, -EINVAL);
    }
    EXPECT(dm_lookup("fe80::1%3:80", &lookup), 0);
    EXPECT(dm_lookup_next(lookup, &addr), 1);
    EXPECT(addr.scope, 3);
    EXPECT(dm_close(lookup), 0);
    snprintf(localhost, sizeof localhost, "localhost:%d", here.port);
    EXPECT(dm_tcp_dial_name(localhost, &stream), 0);
    EXPECT(opened(stream), 0);
    EXPECT(dm_close(stream), 0);
    EXPECT(dm_close(accepted()), 0);
}

/* ---- by callbacks ---- */

static int batches[2];

/* A callback may do so much, and is called again. */
static void greedy(void *arg) {
    int *n = arg;
    int64_t read;
    while ((read = dm_read(server, NULL, 0)) == 0) {
        ++*n;
    }
    EXPECT(read, -EAGAIN);
    if (arg == &batches[0]) {
        EXPECT(dm_when(server, DM_WRITE, greedy, &batches[1]), 0);
    } else {
        EXPECT(dm_stop(7), 0);
        EXPECT(dm_spawn(count, arg), 0);
    }
}

static void stop(void *arg) {
    EXPECT(dm_stop(*(int *)arg), 0);
}

/* Wakes itself again and again, and never waits. */
static void restless(void *arg) {
    EXPECT(dm_deadline(server, DM_READ, DM_FOREVER), 0);
    EXPECT(dm_when(server, DM_READ, restless, arg), 0);
    EXPECT(dm_deadline(server, DM_READ, DM_NOW), 0);
}

/* A callback that keeps the loop busy by what it does to its own handle does not keep a timer from its end. */
static void restlessness(void *arg) {
    EXPECT(dm_sleep(MS, stop, arg, NULL), 0);
    restless(NULL);
}

static void fairness(void) {
    int before = called;
    /* A write side is always ready here. */
    EXPECT(dm_run(greedy, &batches[0]), 7);
    EXPECT(batches[0], 128);
    EXPECT(batches[1], 128);
    EXPECT(called, before);
    int stopping = 9;
    EXPECT(dm_run(restlessness, &stopping), 9);
    EXPECT(dm_deadline(server, DM_READ, DM_FOREVER), 0);
}

static void where_the_host_opens_sockets(void) {
    dm_handle handle;
    EXPECT(dm_tcp_dial(&here, &handle), -ENOTSUP);
    EXPECT(dm_tcp_dial_name("localhost:80", &handle), -ENOTSUP);
    EXPECT(dm_udp_bind(&here, &handle), -ENOTSUP);
    EXPECT(dm_lookup("localhost:80", &handle), -ENOTSUP);
    EXPECT(dm_tcp_listener_from_fd(99, &handle), -ENOENT);
    EXPECT(dm_tcp_from_fd(1, &handle), -EINVAL);
    EXPECT(dm_tcp_listener_from_fd(3, &listener), 0);
    EXPECT(dm_accept(listener, &handle, NULL), -EAGAIN);
    EXPECT(dm_local_addr(listener, &here), -ENOTSUP);
    EXPECT(dm_close(listener), 0);
    timers();
}

static void everywhere_else(void) {
    EXPECT(dm_tcp_listener_from_fd(3, &listener), -ENOTSUP);
    EXPECT(dm_tcp_listen(&here, &listener), 0);
    EXPECT(opened(listener), 0);
    EXPECT(dm_local_addr(listener, &here), 0);
    a_connection();
    EXPECT(dm_close(client), 0);
    EXPECT(dm_close(server), 0);
    much();
    lingering();
    deadlines();
    closing();
    datagrams();
    names();
    nobody();
    timers();
}

int main(void) {
    EXPECT(dm_version(), DM_VERSION);
    EXPECT(dm_addr_parse("127.0.0.1:0", &here), 0);
    EXPECT(dm_begin(), 0);
    if (dm_tcp_listen(&here, &listener) == -ENOTSUP) {
        where_the_host_opens_sockets();
        EXPECT(dm_end(), 0);
    } else {
        EXPECT(dm_close(listener), 0);
        everywhere_else();
        EXPECT(dm_tcp_listen(&here, &listener), 0);
        connect_both();
        EXPECT(dm_end(), 0);
        fairness();
        EXPECT(dm_close(client), 0);
        EXPECT(dm_close(server), 0);
        EXPECT(dm_close(listener), 0);
    }
    puts("everything is as it should be");
    return 0;
}
