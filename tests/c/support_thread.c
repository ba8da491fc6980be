/* The support thread seen from outside, and what it must not change. argv[1]:
   alone      one thread, much freed: no second task ever
   starts     a second thread, much freed: one task more, modest, and gone when the program is alone again
   exits      pthread_exit of main while it lives: the process ends with the last thread of the program
   exec, exit, fork      each while it works
   spawn      argv[2] times fork and exec while it works
   unshare    a user namespace after the program's threads have ended
   setuid     (root) the program's credentials change while it lives: none with the old ones is left after a while */
#include "threads.h"
#include <dirent.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static sem_t ready, hold;
static atomic_int stop;

static void sleep_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) && errno == EINTR) {}
}

/* The id of the support thread, 0: none; the number of tasks in *count. */
static int support_task(int *count) {
    int found = 0, n = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL, "no /proc/self/task");
    for (struct dirent *e; (e = readdir(tasks)) != NULL;) {
        char path[300], name[32] = "";
        if (e->d_name[0] == '.') continue;
        n++;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        if (fgets(name, sizeof name, file) && !strcmp(name, "aethalloc\n")) found = atoi(e->d_name);
        fclose(file);
    }
    closedir(tasks);
    if (count) *count = n;
    return found;
}

/* Allocates and frees enough to leave memory behind. */
static void churn(void) {
    enum { COUNT = 4000 };
    static _Thread_local char *blocks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(4000);
        CHECK(blocks[i], "malloc is null");
        memset(blocks[i], i, 4000);
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK(blocks[i][3999] == (char)i, "a block changed");
        free(blocks[i]);
    }
}

static void *waits(void *unused) {
    free(hidden(malloc(100)));
    sem_post(&ready);
    while (sem_wait(&hold) && errno == EINTR) {}
    return unused;
}
static void *churns(void *unused) {
    while (!stop) churn();
    return unused;
}

/* Churns until there is a support thread (on glibc there never is). */
static int wait_for_support(void) {
    if (on_oracle()) return 0;
    for (int i = 0; i < 3000; i++) {
        int task = support_task(NULL);
        if (task) return task;
        churn();
        sleep_ms(10);
    }
    CHECK(0, "no support thread in 30 s");
}
static void wait_for_none(const char *when) {
    for (int i = 0; i < 6000; i++) {
        if (!support_task(NULL)) return;
        sleep_ms(10);
    }
    CHECK(0, "a support thread 60 s after %s", when);
}

static unsigned long status_field(int task, const char *key, int base) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/status", task);
    FILE *file = fopen(path, "r");
    unsigned long value = ~0ul;
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, key, strlen(key))) value = strtoul(line + strlen(key), NULL, base);
    if (file) fclose(file);
    return value;
}

static void starts(void) {
    pthread_t t = start(waits, NULL);
    sem_wait(&ready);
    int task = wait_for_support();
    if (task) {
        int count;
        /* Its first steps make it modest; they come after its name. */
        for (int i = 0; i < 1000 && getpriority(PRIO_PROCESS, task) != 19; i++) sleep_ms(10);
        CHECK(getpriority(PRIO_PROCESS, task) == 19, "its priority is %d", getpriority(PRIO_PROCESS, task));
        unsigned long cannot = 1ul << (SIGKILL - 1) | 1ul << (SIGSTOP - 1);
        CHECK((status_field(task, "SigBlk:", 16) | cannot) == ~0ul, "it takes signals: %lx", status_field(task, "SigBlk:", 16));
        for (int i = 0; i < 1000 && status_field(task, "CapEff:", 16); i++) sleep_ms(10);
        CHECK(status_field(task, "CapEff:", 16) == 0, "it has capabilities");
        support_task(&count);
        CHECK(count == 3, "%d tasks", count);
        char path[64];
        int files = 0;
        snprintf(path, sizeof path, "/proc/self/task/%d/fd", task);
        DIR *fds = opendir(path);
        for (struct dirent *e; fds && (e = readdir(fds)) != NULL;) {
            char link[400], target[512] = "";
            snprintf(link, sizeof link, "%s/%s", path, e->d_name);
            if (e->d_name[0] == '.' || readlink(link, target, sizeof target - 1) < 0) continue;
            int figures = strstr(target, "/memory.") || !strcmp(target, "/proc/pressure/memory");
            files += !figures;
        }
        if (fds) closedir(fds);
        CHECK(files == 0, "it keeps %d files of the program open", files);
    }
    sem_post(&hold);
    join(t);
    wait_for_none("the program's thread ended");
}

static void alone(void) {
    for (int i = 0; i < 300; i++) {
        int count;
        churn();
        support_task(&count);
        CHECK(count == 1, "%d tasks in a program with one thread", count);
        sleep_ms(2);
    }
}

static pthread_t main_thread;
static void *outlives_main(void *unused) {
    join(main_thread);
    wait_for_support();
    sem_post(&hold);
    return unused; /* the last thread or the one before: the process ends with 0 */
}

static void forks(void) {
    pthread_t t = start(churns, NULL);
    wait_for_support();
    for (int i = 0; i < 200; i++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0) {
            alarm(20);
            int count;
            CHECK(!support_task(&count) && count == 1, "%d tasks in a child", count);
            churn();
            if (i % 40 == 0) {
                start(waits, NULL); /* the child may have one of its own */
                sem_wait(&ready);
                wait_for_support();
            }
            _exit(0);
        }
        child_succeeds(child, "fork");
    }
    stop = 1;
    join(t);
}

/* Children allocate, then become another program, while threads and support thread work. */
static void spawns(int times) {
    pthread_t t = start(churns, NULL);
    wait_for_support();
    for (int i = 0; i < times; i++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0) {
            char *volatile block = malloc((size_t)(i * 37 % 70000) + 1);
            CHECK(block, "malloc is null in child %d", i);
            block[0] = 1;
            free(block);
            execl("/proc/self/exe", "support_thread", "nothing", (char *)NULL);
            _exit(1);
        }
        child_succeeds(child, "fork and exec");
    }
    stop = 1;
    join(t);
}

int main(int argc, char **argv) {
    CHECK(argc >= 2, "usage: support_thread WHAT");
    const char *what = argv[1];
    sem_init(&ready, 0, 0);
    sem_init(&hold, 0, 0);
    if (!strcmp(what, "alone")) alone();
    else if (!strcmp(what, "starts")) starts();
    else if (!strcmp(what, "fork")) forks();
    else if (!strcmp(what, "spawn")) spawns(argc > 2 ? atoi(argv[2]) : 10);
    else if (!strcmp(what, "nothing")) free(hidden(malloc(1)));
    else if (!strcmp(what, "exits")) {
        main_thread = pthread_self();
        start(waits, NULL);
        sem_wait(&ready);
        start(outlives_main, NULL);
        pthread_exit(NULL);
    } else if (!strcmp(what, "exec") || !strcmp(what, "exit")) {
        int left = argc > 2 ? atoi(argv[2]) : 0;
        start(churns, NULL);
        wait_for_support();
        if (left > 0 && !strcmp(what, "exec")) {
            char text[16];
            snprintf(text, sizeof text, "%d", left - 1);
            execl("/proc/self/exe", argv[0], what, text, (char *)NULL);
            CHECK(0, "exec");
        }
        exit(0); /* with both threads at work */
    } else if (!strcmp(what, "unshare")) {
        pthread_t t = start(waits, NULL);
        sem_wait(&ready);
        wait_for_support();
        sem_post(&hold);
        join(t);
        /* It leaves by itself; until it has, the call says EINVAL as for any program with threads. */
        int r = -1;
        for (int i = 0; i < 3000 && (r = unshare(CLONE_NEWUSER)) && errno == EINVAL; i++) sleep_ms(10);
        CHECK(r == 0 || errno != EINVAL, "unshare says EINVAL 30 s after the last thread ended");
    } else if (!strcmp(what, "setuid")) {
        pthread_t t = start(waits, NULL);
        sem_wait(&ready);
        int task = wait_for_support();
        CHECK(setgid(65534) == 0 && setuid(65534) == 0, "setuid: %s", strerror(errno));
        CHECK(getuid() == 65534 && setuid(0) == -1, "the program kept a way back");
        if (task) {
            int old = 1;
            for (int i = 0; i < 9000 && old; i++) {
                task = support_task(NULL);
                old = task && status_field(task, "Uid:", 10) == 0;
                if (i % 3 == 0) churn();
                sleep_ms(10);
            }
            CHECK(!old, "a support thread of the old user after 90 s");
        }
        sem_post(&hold);
        join(t);
    } else CHECK(0, "unknown: %s", what);
    return 0;
}
