/* Numbers of a tensor, float32 or bfloat16, read and written as float32. */
#include <math.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#else
#define ALWAYS_INLINE static inline
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
    ((uint16_t *)row)[j] = (uint16_t)((u.bits + 0x8000) >> 16); /* to nearest */
}
