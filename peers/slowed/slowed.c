/* The system's malloc with 50 ns spent in each call of malloc and free: a known difference that the bench must
 * find (`aethalloc bench self-check`). The constructor times short spins of two lengths as malloc will use them, one
 * call after the other, and solves for the length that takes 50 ns, call and loop exit included. */
#define _GNU_SOURCE
#include <stddef.h>
#include <time.h>

extern void *__libc_malloc(size_t);
extern void __libc_free(void *);

static unsigned long steps;

__attribute__((noinline)) static void spin(unsigned long n)
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

static double one_spin(unsigned long n)
{
    double best = 1e18;
    for (int part = 0; part < 20; part++) {
        double start = now();
        for (int i = 0; i < 2000; i++)
            spin(n);
        double each = (now() - start) / 2000;
        if (each < best)
            best = each;
    }
    return best;
}

__attribute__((constructor)) static void calibrate(void)
{
    double few = one_spin(100), many = one_spin(300);
    double step = (many - few) / 200;
    double wanted = 100 + (50.0 - few) / step;
    steps = wanted > 1 ? (unsigned long)(wanted + 0.5) : 1;
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
