/* The system's malloc, with a count of what the program asked for: `aethalloc bench floor`.
 *
 * Peaks of three sums go to the file that BENCH_COUNTED names, when the program ends:
 *     heap    bytes asked for and not yet freed, exactly as asked for: no rounding, no header, no alignment
 *     mapped  bytes of the program's own anonymous mappings of 20 KiB and more: its tables (the Rust
 *             library maps less for each thread, and touches little of it)
 *     both    the two together, at one moment
 *
 * A block, 16 bytes or the alignment behind what the C library gave:
 *     | ... | size asked for, 8 bytes | distance to the C library's block, 8 bytes | the user's bytes ...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

struct header {
    size_t size;
    size_t distance;
};

enum { HEADER = sizeof(struct header), LEAST_MAPPING = 20 << 10, MAPPINGS = 4096 };

struct sum {
    long now, peak;
};

static struct sum heap, mapped, both;

static struct {
    void *at;
    size_t length;
} mappings[MAPPINGS];

static void add(struct sum *sum, long bytes)
{
    long now = __atomic_add_fetch(&sum->now, bytes, __ATOMIC_RELAXED);
    long peak = __atomic_load_n(&sum->peak, __ATOMIC_RELAXED);
    while (now > peak && !__atomic_compare_exchange_n(&sum->peak, &peak, now, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void count(struct sum *sum, long bytes)
{
    add(sum, bytes);
    add(&both, bytes);
}

static struct header *header_of(void *block)
{
    return (struct header *)((char *)block - HEADER);
}

static void *begin(void *base, size_t distance, size_t size)
{
    if (!base)
        return NULL;
    void *block = (char *)base + distance;
    *header_of(block) = (struct header){size, distance};
    count(&heap, (long)size);
    return block;
}

static void *base_of(void *block)
{
    return (char *)block - header_of(block)->distance;
}

static int too_large(size_t size, size_t more)
{
    if (size <= PTRDIFF_MAX - more)
        return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return too_large(size, HEADER) ? NULL : begin(__libc_malloc(size + HEADER), HEADER, size);
}

void *calloc(size_t number, size_t each)
{
    size_t size;
    if (__builtin_mul_overflow(number, each, &size))
        size = SIZE_MAX;
    return too_large(size, HEADER) ? NULL : begin(__libc_calloc(1, size + HEADER), HEADER, size);
}

void free(void *block)
{
    if (!block)
        return;
    count(&heap, -(long)header_of(block)->size);
    __libc_free(base_of(block));
}

void *memalign(size_t align, size_t size)
{
    size_t distance = align < HEADER ? HEADER : align;
    if (distance > PTRDIFF_MAX / 2 || too_large(size, distance))
        return errno = ENOMEM, NULL;
    return begin(__libc_memalign(distance, size + distance), distance, size);
}

void *aligned_alloc(size_t align, size_t size)
{
    return memalign(align, size);
}

int posix_memalign(void **out, size_t align, size_t size)
{
    if (align < sizeof(void *) || (align & (align - 1)))
        return EINVAL;
    int before = errno;
    void *block = memalign(align, size);
    errno = before;
    if (!block)
        return ENOMEM;
    *out = block;
    return 0;
}

void *valloc(size_t size)
{
    return memalign(4096, size);
}

void *pvalloc(size_t size)
{
    return too_large(size, 4095) ? NULL : memalign(4096, (size + 4095) & ~(size_t)4095);
}

size_t malloc_usable_size(void *block)
{
    return block ? header_of(block)->size : 0;
}

/* The old and the new block are not counted together: an allocator may grow in place. */
void *realloc(void *block, size_t size)
{
    if (!block)
        return malloc(size);
    if (!size)
        return free(block), NULL;
    if (too_large(size, HEADER))
        return NULL;
    struct header old = *header_of(block);
    char *fresh;
    if (old.distance == HEADER) {
        fresh = __libc_realloc(base_of(block), size + HEADER);
        if (!fresh)
            return NULL;
    } else {
        fresh = __libc_malloc(size + HEADER);
        if (!fresh)
            return NULL;
        memcpy(fresh + HEADER, block, old.size < size ? old.size : size);
        __libc_free(base_of(block));
    }
    count(&heap, -(long)old.size);
    return begin(fresh, HEADER, size);
}

void *reallocarray(void *block, size_t number, size_t each)
{
    size_t size;
    if (__builtin_mul_overflow(number, each, &size))
        return errno = ENOMEM, NULL;
    return realloc(block, size);
}

static void *map(void *wish, size_t length, int access, int flags, int file, off_t offset)
{
    void *at = (void *)syscall(SYS_mmap, wish, length, access, flags, file, offset);
    int own = (flags & MAP_ANONYMOUS) && (access & PROT_WRITE) && !(flags & (MAP_NORESERVE | MAP_STACK | MAP_FIXED));
    if (at == MAP_FAILED || !own || length < LEAST_MAPPING)
        return at;
    for (int i = 0; i < MAPPINGS; i++) {
        void *none = NULL;
        if (__atomic_compare_exchange_n(&mappings[i].at, &none, at, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            mappings[i].length = length;
            count(&mapped, (long)length);
            break;
        }
    }
    return at;
}

void *mmap(void *wish, size_t length, int access, int flags, int file, off_t offset)
{
    return map(wish, length, access, flags, file, offset);
}

void *mmap64(void *wish, size_t length, int access, int flags, int file, off_t offset)
{
    return map(wish, length, access, flags, file, offset);
}

/* Entries go before the mapping does: its address may be another's at once. */
int munmap(void *at, size_t length)
{
    for (int i = 0; at && i < MAPPINGS; i++) {
        if (__atomic_load_n(&mappings[i].at, __ATOMIC_ACQUIRE) == at && mappings[i].length == length) {
            count(&mapped, -(long)length);
            __atomic_store_n(&mappings[i].at, NULL, __ATOMIC_RELEASE);
            break;
        }
    }
    return (int)syscall(SYS_munmap, at, length);
}

__attribute__((destructor)) static void report(void)
{
    const char *path = getenv("BENCH_COUNTED");
    int file = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (file < 0)
        return;
    char text[120];
    int length = snprintf(text, sizeof text, "heap %ld\nmapped %ld\nboth %ld\n", heap.peak, mapped.peak, both.peak);
    if (write(file, text, (size_t)length) != length)
        _exit(1);
    close(file);
}
