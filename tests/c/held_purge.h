/* A thread that gives back what is empty (malloc_trim) and can be held where it is about to do so: it has looked at which pages of a
   slab are empty, and the slab is frozen. The kernel stops it at the system call and tells this program (seccomp's listener). */
#ifndef HELD_PURGE_H
#define HELD_PURGE_H

#include "threads.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static struct {
    int listener, start[2]; /* who writes into start[1] has it begin */
    volatile pid_t thread;
    atomic_int begun, done, held;
    struct seccomp_notif call; /* what it is held at */
} purge = {.listener = -1};

/* The calling thread is stopped from now on where it gives memory back; -1: the system does not tell of it. */
static int tell_of_giving_back(void) {
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_DONTNEED, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof steps / sizeof *steps, steps};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

/* Whether the system tells of it. */
static int can_hold_a_purge(void) {
    int status;
    pid_t child = fork();
    if (child == 0) _exit(tell_of_giving_back() < 0);
    return waitpid(child, &status, 0) == child && status == 0;
}

static void *give_back(void *unused) {
    (void)unused;
    purge.listener = tell_of_giving_back();
    CHECK(purge.listener >= 0, "seccomp: %s", strerror(errno));
    purge.thread = (pid_t)syscall(SYS_gettid);
    char byte;
    CHECK(read(purge.start[0], &byte, 1) == 1, "read: %s", strerror(errno));
    malloc_trim(0);
    atomic_store(&purge.done, 1);
    for (;;) pause();
    return NULL;
}

static void prepare_purge(void) {
    CHECK(pipe(purge.start) == 0, "pipe: %s", strerror(errno));
    start(give_back, NULL);
    while (!purge.thread) usleep(100);
}

static void go_on(void) {
    struct seccomp_notif_resp answer = {.id = purge.call.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    CHECK(ioctl(purge.listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0, "go on: %s", strerror(errno));
    atomic_store(&purge.held, 0);
}

/* It sleeps, and not at a call that we are told of. */
static int waits_for_a_lock(void) {
    char name[64], text[512];
    snprintf(name, sizeof name, "/proc/self/task/%d/stat", purge.thread);
    int file = open(name, O_RDONLY);
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return 0;
    text[length] = 0;
    char *state = strrchr(text, ')');
    struct pollfd told = {.fd = purge.listener, .events = POLLIN};
    return state && state[2] == 'S' && poll(&told, 1, 0) == 0 && !purge.done;
}

/* Lets it run until it is about to give back pages of the 64 KiB that `inside` lies in (NULL: to its end), or until it waits for
   somebody, who may be the caller, unless `to_the_end`. */
static void run_purge(const void *inside, int to_the_end) {
    int waits = 0;
    if (purge.held) go_on();
    while (!purge.done && (to_the_end || waits < 3)) {
        struct pollfd told = {.fd = purge.listener, .events = POLLIN};
        if (poll(&told, 1, 1) == 1) {
            memset(&purge.call, 0, sizeof purge.call);
            CHECK(ioctl(purge.listener, SECCOMP_IOCTL_NOTIF_RECV, &purge.call) == 0, "told: %s", strerror(errno));
            atomic_store(&purge.held, 1);
            if (inside && purge.call.data.args[0] >> 16 == (uintptr_t)inside >> 16) return;
            go_on();
            waits = 0;
        } else {
            waits = waits_for_a_lock() ? waits + 1 : 0;
        }
    }
}

/* Begins. */
static void begin_purge(const void *inside) {
    atomic_store(&purge.begun, 1);
    CHECK(write(purge.start[1], "", 1) == 1, "write: %s", strerror(errno));
    run_purge(inside, 0);
}

#endif
