/* Threads on stacks that the program made itself, from malloc or mmap, and that it overwrites and gives back when they have ended: with
   them goes the C library's thread-local data. argv[1]: heap, mapped, or library (stacks of the C library's, used again).
   argv[2]: return, or exit (the bare system call, after which no destructor runs). Their blocks stay, and are freed by the next. */
#include "threads.h"
#include <sys/mman.h>
#include <sys/syscall.h>

enum { THREADS = 400, BLOCKS = 64, STACK = 256 << 10 };

static char *blocks[BLOCKS];
static int bare;

static size_t size_of(size_t thread, size_t i) { return (thread * 37 + i * 91) % 3000 + 1; }

static void *work(void *argument) {
    size_t thread = (size_t)argument;
    for (size_t i = 0; i < BLOCKS; i++) free(blocks[i]);
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = size_of(thread, i);
        CHECK((blocks[i] = malloc(size)) != NULL, "malloc is null");
        fill(blocks[i], size, thread + i);
    }
    if (bare) syscall(SYS_exit, 0);
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 3, "arguments");
    int heap = !strcmp(argv[1], "heap"), mapped = !strcmp(argv[1], "mapped");
    bare = !strcmp(argv[2], "exit");
    for (size_t n = 1; n <= THREADS; n++) {
        char *stack = heap ? memalign(4096, STACK) : mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(stack != NULL && stack != MAP_FAILED, "no stack");
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        if (heap || mapped) CHECK(pthread_attr_setstack(&attributes, stack, STACK) == 0, "pthread_attr_setstack");
        pthread_t thread;
        CHECK(pthread_create(&thread, &attributes, work, (void *)n) == 0, "pthread_create");
        join(thread);
        memset(stack, 0xff, STACK);
        if (heap) free(stack);
        else munmap(stack, STACK);
        for (size_t i = 0; i < BLOCKS; i++) {
            size_t size = size_of(n, i);
            CHECK(first_difference(blocks[i], size, n + i) == size, "block %zu of thread %zu changed", i, n);
        }
        if (n % 50 == 0) { /* what looks at all threads, also those that have ended */
            malloc_trim(0);
            CHECK(mallinfo2().uordblks > 0, "nothing is allocated");
            usleep(20000);
        }
        if (n % 100 == 0) {
            pid_t child = fork();
            if (child == 0) {
                for (size_t i = 0; i < BLOCKS; i++) free(blocks[i]);
                malloc_trim(0);
                _exit(0);
            }
            child_succeeds(child, "fork after threads have ended");
        }
    }
    long pages = 0;
    FILE *figures = fopen("/proc/self/statm", "r");
    CHECK(figures && fscanf(figures, "%*d %ld", &pages) == 1, "no figures");
    CHECK(pages * sysconf(_SC_PAGESIZE) < 16 << 20, "%ld pages are resident", pages);
    return 0;
}
