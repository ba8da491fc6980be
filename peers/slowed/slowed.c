/* The system's malloc with 50 ns spent in each call of malloc and free: a known difference that the bench must
 * find (`aethalloc-bench self-check`). The constructor finds out how long a spin of n steps takes, clock reading
 * not included, so that the time spent is the time meant. */
#define _GNU_SOURCE
#include <stddef.h>
#include <time.h>

extern void *__libc_malloc(size_t);
extern void __libc_free(void *);

static unsigned long steps;

static void spin(unsigned long n)
{
    while (n--)
        __asm__ volatile("" ::: "memory");
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

__attribute__((constructor)) static void calibrate(void)
{
    double best = 1e18;
    for (int i = 0; i < 20; i++) {
        double start = now();
        spin(200000);
        double took = now() - start;
        if (took < best)
            best = took;
    }
    steps = (unsigned long)(50.0 / (best / 200000) + 0.5);
}

void *malloc(size_t size)
{
    spin(steps);
    return __libc_malloc(size);
}

void free(void *block)
{
    spin(steps);
    __libc_free(block);
}
