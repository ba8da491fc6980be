/* What every program of this folder shares. A failed check prints one line and exits with 1. */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

__attribute__((format(printf, 3, 4), noreturn, unused))
static void check_failed(const char *file, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    dprintf(2, "%s:%d: ", file, line);
    vdprintf(2, format, args);
    dprintf(2, "\n");
    va_end(args);
    _exit(1);
}

/* CHECK(condition, "what is wrong, with figures", ...) */
#define CHECK(condition, ...) \
    do { \
        if (!(condition)) check_failed(__FILE__, __LINE__, __VA_ARGS__); \
    } while (0)

/* The test checks itself on plain glibc: rules that are ours alone are left out. */
__attribute__((unused)) static int on_oracle(void) { return getenv("AETHALLOC_ORACLE") != NULL; }

/* A value that the compiler cannot know: no warning, no folding of what is wrong on purpose. */
__attribute__((unused)) static size_t hidden_size(size_t value) {
    __asm__ volatile("" : "+r"(value));
    return value;
}
__attribute__((unused)) static void *hidden(void *value) {
    __asm__ volatile("" : "+r"(value));
    return value;
}

/* Fills a block with bytes that depend on its seed, and finds out whether they are still there. */
__attribute__((unused)) static unsigned char pattern_byte(uint64_t seed, size_t i) {
    return (unsigned char)((seed * 0x9e3779b97f4a7c15u >> 56) + i * 7 + (i >> 8));
}
__attribute__((unused)) static void fill(void *block, size_t size, uint64_t seed) {
    unsigned char *bytes = (unsigned char *)block;
    for (size_t i = 0; i < size; i++) bytes[i] = pattern_byte(seed, i);
}
/* The first wrong byte, or `size`. */
__attribute__((unused)) static size_t first_difference(const void *block, size_t size, uint64_t seed) {
    const unsigned char *bytes = (const unsigned char *)block;
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != pattern_byte(seed, i)) return i;
    return size;
}

/* A small fast generator; each thread has its own state. */
__attribute__((unused)) static uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The sizes that rules are checked with: around every power of two and eighth between, to 8 MiB. `i` counts up from 0;
   0 marks the end. */
__attribute__((unused)) static size_t sample_size(unsigned i) {
    if (i < 300) return i + 1;
    i -= 300;
    unsigned power = 8 + i / 24, rest = i % 24;
    if (power > 22) return 0;
    size_t base = ((size_t)1 << power) + (rest / 3) * ((size_t)1 << power) / 8;
    return base - 1 + rest % 3;
}

/* Resident memory of this process in bytes. */
__attribute__((unused)) static size_t resident_bytes(void) {
    char text[128];
    FILE *file = fopen("/proc/self/statm", "r");
    size_t size, pages;
    CHECK(file != NULL, "no /proc/self/statm");
    CHECK(fgets(text, sizeof text, file) && sscanf(text, "%zu %zu", &size, &pages) == 2, "statm: %s", text);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Functions that glibc lacks: weak where the allocator comes by LD_PRELOAD, strong where it is linked in. */
#ifdef LINKED_WITH_ARCHIVE
#define OURS
#define IS_THERE(function) 1
#else
#define OURS __attribute__((weak))
#define IS_THERE(function) ((function) != NULL)
#endif
OURS void cfree(void *);
OURS void free_sized(void *, size_t);
OURS void free_aligned_sized(void *, size_t, size_t);
OURS void *mallocx(size_t, int);
OURS void *rallocx(void *, size_t, int);
OURS size_t xallocx(void *, size_t, size_t, int);
OURS size_t sallocx(const void *, int);
OURS void dallocx(void *, int);
OURS void sdallocx(void *, size_t, int);
OURS size_t nallocx(size_t, int);
OURS int mallctl(const char *, void *, size_t *, void *, size_t);
OURS int mallctlnametomib(const char *, size_t *, size_t *);
OURS int mallctlbymib(const size_t *, size_t, void *, size_t *, void *, size_t);

#ifdef __cplusplus
}
#endif
#endif
