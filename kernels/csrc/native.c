/* The element-wise pass over a tile of logits: bias, softcap, scale, exponential, sum, gradient.
 *
 * A tile is [rows, columns], contiguous, float32 or bfloat16, and is overwritten in place. The
 * target's column is left out of every sum, so that a token whose target dominates keeps all
 * digits of its small sum. The matrix products are made elsewhere; the caller cuts a tile into
 * ranges of rows and calls from several threads, which is why the GIL is released.
 *
 * Tensors come as addresses: the caller owns them, and checks shapes, dtypes and contiguity.
 */
#include <Python.h>
#include <math.h>
#include <stdint.h>

#define MAX_EXPONENT 76.0f  /* exp(76) summed over 10^5 columns is finite in float32 */
#define MIN_EXPONENT -87.0f /* below it, exp leaves the normal numbers: as good as 0 here */

#if defined(__GNUC__) || defined(__clang__)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#else
#define ALWAYS_INLINE static inline
#endif

typedef struct {
    char *tile;             /* [rows, columns] float32 or bfloat16 */
    const float *bias;      /* [columns] or NULL */
    const int64_t *targets; /* [rows], relative to the tile's first column */
    const float *shift;     /* [rows], subtracted from the logits: anchor, or log-sum-exp */
    const float *logps;     /* [rows], gradient pass only */
    const float *factors;   /* [rows], gradient pass only: dloss/dlogp */
    float *sums;            /* [rows], exponential pass only, written */
    int64_t columns;
    float softcap; /* 0: none */
    float scale;
} Pass;

ALWAYS_INLINE float read_element(const char *row, int64_t j, int half)
{
    if (!half)
        return ((const float *)row)[j];
    union { uint32_t bits; float value; } u = {(uint32_t)((const uint16_t *)row)[j] << 16};
    return u.value;
}

/* Whether x is NaN, by its bits: -ffinite-math-only takes `x != x` for false. */
ALWAYS_INLINE uint32_t is_nan(float x)
{
    union { float value; uint32_t bits; } u = {x};
    return (u.bits & 0x7fffffff) > 0x7f800000;
}

ALWAYS_INLINE void write_element(char *row, int64_t j, float value, int half)
{
    if (!half) {
        ((float *)row)[j] = value;
        return;
    }
    union { float value; uint32_t bits; } u = {value};
    /* to nearest, ties to even */
    ((uint16_t *)row)[j] = (uint16_t)((u.bits + 0x7fff + ((u.bits >> 16) & 1)) >> 16);
}

/* exp(x) for x within [MIN_EXPONENT, MAX_EXPONENT + 1]; relative error below 3e-7. */
ALWAYS_INLINE float exponential(float x)
{
    float n = x * 1.44269504f;
    int whole = (int)(n + (n < 0 ? -0.5f : 0.5f));
    float r = x - (float)whole * 0.693359375f;
    r += (float)whole * 2.12194440e-4f;
    /* Taylor on |r| <= ln(2)/2: the first term left out is r^8/8! < 6e-9 */
    float p = 1.0f + r * (1.0f + r * (1.0f / 2 + r * (1.0f / 6 + r * (1.0f / 24 +
              r * (1.0f / 120 + r * (1.0f / 720 + r * (1.0f / 5040)))))));
    union { int32_t bits; float value; } power = {(int32_t)(whole + 127) << 23};
    return p * power.value;
}

ALWAYS_INLINE float clamp(float x, float low, float high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* tanh(u), given e = exp(2u). Near 0 the quotient would cancel; there the first term that the
 * series leaves out is below 1e-7 of the value. Chosen by bits: a branch would not vectorise. */
ALWAYS_INLINE float tanh_of(float u, float e)
{
    float u2 = u * u;
    union { float value; uint32_t bits; } series, quotient;
    series.value = u * (1.0f + u2 * (-1.0f / 3 + u2 * (2.0f / 15 + u2 * (-17.0f / 315))));
    quotient.value = 1.0f - 2.0f / (e + 1.0f);
    uint32_t near = -(uint32_t)(u2 < 0.04f);
    quotient.bits = (series.bits & near) | (quotient.bits & ~near);
    return quotient.value;
}

/* The logit of a raw product, and its slope dlogit/dproduct. */
ALWAYS_INLINE float logit_of(float z, const Pass *pass, int capped, float *slope)
{
    if (!capped) {
        *slope = pass->scale;
        return z * pass->scale;
    }
    float u = z / pass->softcap;
    float e = exponential(clamp(2.0f * u, -40.0f, 40.0f));
    float t = tanh_of(u, e), inverse = 1.0f / (e + 1.0f);
    *slope = pass->scale * 4.0f * e * inverse * inverse; /* 1 - t^2 would cancel near 1 */
    return pass->scale * pass->softcap * t;
}

/* Columns [from, to) of one row: exponentials, weighted by the slope, in place; returns the sum,
 * NaN where a logit is NaN (the clamp would make a number of it). */
ALWAYS_INLINE float exp_span(const Pass *pass, char *row, float shift, int64_t from, int64_t to,
                             int half, int biased, int capped)
{
    float sum = 0.0f;
    uint32_t nan = 0;
    for (int64_t j = from; j < to; j++) {
        float slope, z = read_element(row, j, half);
        if (biased)
            z += pass->bias[j];
        nan |= is_nan(z);
        float e = exponential(
            clamp(logit_of(z, pass, capped, &slope) - shift, MIN_EXPONENT, MAX_EXPONENT));
        sum += e;
        write_element(row, j, e * slope, half);
    }
    union { uint32_t bits; float value; } result = {.value = sum};
    result.bits |= nan * 0x7fc00000;
    return result.value;
}

/* Columns [from, to) of one row: -factor * p * slope, in place. */
ALWAYS_INLINE void grad_span(const Pass *pass, char *row, float shift, float factor, int64_t from,
                             int64_t to, int half, int biased, int capped)
{
    for (int64_t j = from; j < to; j++) {
        float slope, z = read_element(row, j, half);
        if (biased)
            z += pass->bias[j];
        float p = exponential(
            clamp(logit_of(z, pass, capped, &slope) - shift, MIN_EXPONENT, 0.0f));
        write_element(row, j, -factor * p * slope, half);
    }
}

ALWAYS_INLINE void rows_pass(const Pass *pass, int64_t from, int64_t to, int half, int biased,
                             int capped, int gradient)
{
    int64_t columns = pass->columns, bytes = half ? 2 : 4;
    for (int64_t i = from; i < to; i++) {
        char *row = pass->tile + i * columns * bytes;
        int64_t target = pass->targets[i];
        int inside = target >= 0 && target < columns;
        int64_t first_end = inside ? target : columns;
        float shift = pass->shift[i];
        if (gradient) {
            float factor = pass->factors[i];
            grad_span(pass, row, shift, factor, 0, first_end, half, biased, capped);
            if (inside) {
                float slope, z = read_element(row, target, half);
                grad_span(pass, row, shift, factor, target + 1, columns, half, biased, capped);
                if (biased)
                    z += pass->bias[target];
                logit_of(z, pass, capped, &slope);
                write_element(row, target, factor * -expm1f(pass->logps[i]) * slope, half);
            }
        } else {
            float sum = exp_span(pass, row, shift, 0, first_end, half, biased, capped);
            if (inside) {
                sum += exp_span(pass, row, shift, target + 1, columns, half, biased, capped);
                write_element(row, target, 0.0f, half);
            }
            pass->sums[i] = sum;
        }
    }
}

/* Each instruction set gets every combination with its tests resolved at compile time. */
#define DEFINE_PASS(NAME, ATTRIBUTE)                                                             \
    ATTRIBUTE static void NAME(const Pass *pass, int64_t from, int64_t to, int half, int gradient) \
    {                                                                                            \
        int biased = pass->bias != NULL, capped = pass->softcap != 0.0f;                         \
        switch (half * 8 + biased * 4 + capped * 2 + gradient) {                                 \
        case 0: rows_pass(pass, from, to, 0, 0, 0, 0); break;                                    \
        case 1: rows_pass(pass, from, to, 0, 0, 0, 1); break;                                    \
        case 2: rows_pass(pass, from, to, 0, 0, 1, 0); break;                                    \
        case 3: rows_pass(pass, from, to, 0, 0, 1, 1); break;                                    \
        case 4: rows_pass(pass, from, to, 0, 1, 0, 0); break;                                    \
        case 5: rows_pass(pass, from, to, 0, 1, 0, 1); break;                                    \
        case 6: rows_pass(pass, from, to, 0, 1, 1, 0); break;                                    \
        case 7: rows_pass(pass, from, to, 0, 1, 1, 1); break;                                    \
        case 8: rows_pass(pass, from, to, 1, 0, 0, 0); break;                                    \
        case 9: rows_pass(pass, from, to, 1, 0, 0, 1); break;                                    \
        case 10: rows_pass(pass, from, to, 1, 0, 1, 0); break;                                   \
        case 11: rows_pass(pass, from, to, 1, 0, 1, 1); break;                                   \
        case 12: rows_pass(pass, from, to, 1, 1, 0, 0); break;                                   \
        case 13: rows_pass(pass, from, to, 1, 1, 0, 1); break;                                   \
        case 14: rows_pass(pass, from, to, 1, 1, 1, 0); break;                                   \
        default: rows_pass(pass, from, to, 1, 1, 1, 1);                                          \
        }                                                                                        \
    }

DEFINE_PASS(pass_portable, )

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define X86_VARIANTS 1
DEFINE_PASS(pass_avx2, __attribute__((target("avx2,fma"))))
DEFINE_PASS(pass_avx512,
            __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,"
                                  "prefer-vector-width=512"))))
#endif

typedef void (*PassFunction)(const Pass *, int64_t, int64_t, int, int);

static struct {
    const char *name;
    PassFunction function;
} variants[3];
static int variant_count;

static void find_variants(void)
{
    variant_count = 0;
#ifdef X86_VARIANTS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        variants[variant_count].name = "avx512";
        variants[variant_count++].function = pass_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        variants[variant_count].name = "avx2";
        variants[variant_count++].function = pass_avx2;
    }
#endif
    variants[variant_count].name = "portable";
    variants[variant_count++].function = pass_portable;
}

static PyObject *variant_names(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    PyObject *names = PyTuple_New(variant_count);
    for (int i = 0; names != NULL && i < variant_count; i++) {
        PyObject *name = PyUnicode_FromString(variants[i].name);
        if (name == NULL || PyTuple_SetItem(names, i, name) < 0)
            Py_CLEAR(names);
    }
    return names;
}

static PyObject *tile_pass(PyObject *self, PyObject *args)
{
    (void)self;
    unsigned long long tile, bias, targets, shift, logps, factors, sums;
    long long columns, from, to;
    double softcap, scale;
    int half, gradient, variant;
    if (!PyArg_ParseTuple(args, "KKKKKKKLddLLppi", &tile, &bias, &targets, &shift, &logps, &factors,
                          &sums, &columns, &softcap, &scale, &from, &to, &half, &gradient,
                          &variant))
        return NULL;
    if (variant < 0 || variant >= variant_count) {
        PyErr_Format(PyExc_ValueError, "variant must lie in [0, %d): received %d", variant_count,
                     variant);
        return NULL;
    }
    Pass pass = {
        .tile = (char *)(uintptr_t)tile,
        .bias = (const float *)(uintptr_t)bias,
        .targets = (const int64_t *)(uintptr_t)targets,
        .shift = (const float *)(uintptr_t)shift,
        .logps = (const float *)(uintptr_t)logps,
        .factors = (const float *)(uintptr_t)factors,
        .sums = (float *)(uintptr_t)sums,
        .columns = columns,
        .softcap = (float)softcap,
        .scale = (float)scale,
    };
    Py_BEGIN_ALLOW_THREADS
    variants[variant].function(&pass, from, to, half, gradient);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"tile_pass", tile_pass, METH_VARARGS,
     "tile_pass(tile, bias, targets, shift, logps, factors, sums, columns, softcap, scale, from, "
     "to, half, gradient, variant)\n\nRun the pass over rows [from, to) of a tile, in place. The "
     "first seven are addresses, 0 for none."},
    {"variant_names", variant_names, METH_NOARGS,
     "variant_names() -> names of the instruction sets that run here, the widest first."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "clairkit.kernels._native", "The element-wise tile pass in C.", -1,
    methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void)
{
    find_variants();
    return PyModule_Create(&module);
}
