/* Numbers of a tensor, float32 or bfloat16, read and written as float32. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) || defined(__clang__)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define PREFETCH(ADDRESS) __builtin_prefetch(ADDRESS)
#else
#define ALWAYS_INLINE static inline
#define PREFETCH(ADDRESS) ((void)(ADDRESS))
#endif

ALWAYS_INLINE float read_element(const char *row, int64_t j, int half)
{
    if (!half)
        return ((const float *)row)[j];
    union { uint32_t bits; float value; } u = {(uint32_t)((const uint16_t *)row)[j] << 16};
    return u.value;
}

/* The bits of |x|; above those of infinity where x is NaN. -ffinite-math-only takes `x != x` for
 * false. */
ALWAYS_INLINE uint32_t magnitude(float x)
{
    union { float value; uint32_t bits; } u = {x};
    return u.bits & 0x7fffffff;
}

ALWAYS_INLINE void write_element(char *row, int64_t j, float value, int half)
{
    if (!half) {
        ((float *)row)[j] = value;
        return;
    }
    union { float value; uint32_t bits; } u = {value};
    uint32_t nearest = (u.bits + 0x8000) >> 16;
    /* The sum runs over where a NaN has all its bits set; no NaN may become a number. */
    ((uint16_t *)row)[j] = (uint16_t)(magnitude(value) > 0x7f800000 ? 0x7fc0 : nearest);
}

/* The dot product of two rows, summed in float32. bfloat16 numbers are taken by twos: each half of a
 * word is widened by one operation on it. */
ALWAYS_INLINE float dot(const char *a, const char *b, int64_t count, int half)
{
    float sum = 0.0f;
    int64_t done = half ? count & ~(int64_t)1 : 0;
    for (int64_t k = 0; k < done; k += 2) {
        uint32_t x, y;
        memcpy(&x, a + 2 * k, 4);
        memcpy(&y, b + 2 * k, 4);
        union { uint32_t bits; float value; } x0 = {x << 16}, x1 = {x & 0xffff0000u},
                                              y0 = {y << 16}, y1 = {y & 0xffff0000u};
        sum += x0.value * y0.value + x1.value * y1.value;
    }
    for (int64_t k = done; k < count; k++)
        sum += read_element(a, k, half) * read_element(b, k, half);
    return sum;
}
