/* Aethalloc: what libaethalloc offers beyond the functions of <stdlib.h> and <malloc.h>.
 *
 * No program needs this header to run on Aethalloc: malloc, free, operator new and the rest are replaced by linking
 * (-laethalloc) or by LD_PRELOAD. All sizes are in bytes. Every function may be called by any thread at any time.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef AETHALLOC_H
#define AETHALLOC_H

#include <stddef.h>

#if defined(__cplusplus) && __cplusplus >= 201103L
#define AETHALLOC_NOTHROW noexcept
#elif defined(__cplusplus)
#define AETHALLOC_NOTHROW throw()
#else
#define AETHALLOC_NOTHROW
#endif

#if defined(__GNUC__) || defined(__clang__)
#define AETHALLOC_ATTR(list) __attribute__(list)
#define AETHALLOC_INLINE static __inline__
#else
#define AETHALLOC_ATTR(list)
#define AETHALLOC_INLINE static inline
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Freeing with a known size (C23) -------------------------------------------------------------------------- */

/* free(ptr), by a caller that knows the size it asked for. The size is ignored: the allocator knows it.
 * ptr may be null. errno is kept. */
void free_sized(void *ptr, size_t size) AETHALLOC_NOTHROW;

/* The same for an object of aligned_alloc(alignment, size). */
void free_aligned_sized(void *ptr, size_t alignment, size_t size) AETHALLOC_NOTHROW;

/* ---- The functions of jemalloc -------------------------------------------------------------------------------- */

/* Flags, combined with |. */
/* Alignment of 2^la bytes, la from 0 to 62. */
#define MALLOCX_LG_ALIGN(la) ((int)(la))
/* Alignment of a bytes, a power of two, at most 2^62. */
#define MALLOCX_ALIGN(a) ((int)aethalloc_lg((size_t)(a)))
/* Every new byte is zero. */
#define MALLOCX_ZERO ((int)0x40)
/* Accepted, without effect: one heap serves all threads. */
#define MALLOCX_TCACHE(tc) ((int)(((tc) + 2) << 8))
#define MALLOCX_TCACHE_NONE MALLOCX_TCACHE(-1)
#define MALLOCX_ARENA(a) ((((int)(a)) + 1) << 20)
/* As the number in arena.N.purge and stats.arenas.N: all of the heap. */
#define MALLCTL_ARENAS_ALL 4096

/* Base-2 logarithm of a power of two. */
AETHALLOC_INLINE int aethalloc_lg(size_t a) AETHALLOC_NOTHROW {
    int lg = 0;
    while (a > 1) {
        a >>= 1;
        lg++;
    }
    return lg;
}

/* A new object of at least size bytes; size 0 gives a unique one. Null with errno ENOMEM if there is no memory. */
void *mallocx(size_t size, int flags) AETHALLOC_NOTHROW AETHALLOC_ATTR((malloc, alloc_size(1), warn_unused_result));

/* Resizes, perhaps moving; with MALLOCX_ZERO, the bytes past the old usable size are zero. Size 0 counts as 1, a null
 * ptr as mallocx. Null with errno ENOMEM leaves the old object as it was. */
void *rallocx(void *ptr, size_t size, int flags) AETHALLOC_NOTHROW AETHALLOC_ATTR((alloc_size(2), warn_unused_result));

/* Resizes in place if possible, to at least size and at best size + extra bytes. Gives the usable size after that; less
 * than size means that it was not possible. */
size_t xallocx(void *ptr, size_t size, size_t extra, int flags) AETHALLOC_NOTHROW;

/* Usable size of the object; 0 for null. */
size_t sallocx(const void *ptr, int flags) AETHALLOC_NOTHROW;

/* free(ptr). */
void dallocx(void *ptr, int flags) AETHALLOC_NOTHROW;

/* free(ptr), by a caller that knows a size from what was asked for up to sallocx(ptr, 0). */
void sdallocx(void *ptr, size_t size, int flags) AETHALLOC_NOTHROW;

/* The usable size that mallocx(size, flags) would give; 0 if such an object is not possible. */
size_t nallocx(size_t size, int flags) AETHALLOC_NOTHROW;

/* Reads the value called name into *oldp (of *oldlenp bytes) and writes the newlen bytes at newp to it; either pointer
 * may be null. docs/api-c.md lists the names. The result is 0 or an error number, errno is kept:
 *   ENOENT  there is no such name here
 *   EINVAL  *oldlenp or newlen is not the size of the value (what fits is read, *oldlenp says how much), or name is null
 *   EPERM   the value cannot be written, or the name is an action and has no value
 *   EFAULT  the value cannot be changed to the one given */
int mallctl(const char *name, void *oldp, size_t *oldlenp, void *newp, size_t newlen) AETHALLOC_NOTHROW;

/* Translates a name for mallctlbymib: at most *miblenp elements, whose number it writes there. Elements that were
 * numbers in the name may be replaced; the others have no meaning of their own. 6 elements are enough for every name.
 * ENOENT: no such name. EINVAL: a null pointer. */
int mallctlnametomib(const char *name, size_t *mibp, size_t *miblenp) AETHALLOC_NOTHROW;

/* mallctl by a translated name. */
int mallctlbymib(const size_t *mib, size_t miblen, void *oldp, size_t *oldlenp, void *newp, size_t newlen)
    AETHALLOC_NOTHROW;

#ifdef __cplusplus
}
#endif

#endif
