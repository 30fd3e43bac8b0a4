/* The element-wise pass over a tile of logits: bias, softcap, scale, exponential, sums, gradient.
 *
 * A tile is [rows, columns] of float32 or bfloat16, each row contiguous; its result goes to another
 * place or over it. The target's column is left out of every sum, so that a token whose target
 * dominates keeps all digits of its small sum. The matrix products are made elsewhere.
 */
#include <float.h>

#include "elements.h"

#define MAX_EXPONENT 76.0f  /* exp(76) summed over 10^5 columns is finite in float32 */
#define MIN_EXPONENT -87.0f /* below it, exp leaves the normal numbers: as good as 0 here */

typedef struct {
    const char *tile;       /* [rows, columns] float32 or bfloat16 */
    char *result;           /* the same, or NULL: not wanted */
    const float *bias;      /* [columns] or NULL */
    const int64_t *targets; /* [rows], relative to the tile's first column */
    const float *anchor;    /* [rows], subtracted from the logits */
    const float *own;       /* [rows], the result in the target's column, or NULL: 0 */
    const float *totals;    /* [rows], sum over all columns and tiles, or NULL: not known yet */
    const char *hidden;     /* [rows, depth], bfloat16 tiles only: what their products are of */
    const char *weight;     /* [columns, depth] */
    float *sums;            /* [rows], added to, or NULL */
    float *weighted;        /* [rows], added to, or NULL: no statistics */
    float *logits;          /* [rows], added to */
    float *largest;         /* [rows], raised */
    int64_t rows, columns, tile_stride, result_stride; /* strides in elements */
    int64_t depth, hidden_stride, weight_stride;
    float softcap; /* 0: none */
    float scale;
    int half; /* bfloat16 */
} Pass;

/* What the tests of the inner loop depend on, resolved at compile time. */
typedef struct {
    int half, biased, capped, statistics, write, rounds;
} Kind;

typedef struct {
    float exponentials, weighted, logits, largest;
    uint32_t highest; /* bits of the largest |product + bias| of a span */
} RowSums;

/* exp(x) for x within [MIN_EXPONENT, MAX_EXPONENT + 1]; relative error below 3e-7, or 3e-6 where
 * `coarse`. `rounds`: the instruction set rounds in one instruction; rintf is a call where not. */
ALWAYS_INLINE float exponential(float x, int rounds, int coarse)
{
    float n = x * 1.44269504f;
    float whole = rounds ? rintf(n) : (float)(int)(n + (n < 0 ? -0.5f : 0.5f));
    float r = x - whole * 0.69314718f;
    /* Polynomials whose largest relative error on |r| <= ln(2)/2 is the least of their degree. */
    union { float value; int32_t bits; } p;
    if (coarse)
        p.value = 0.9999993f + r * (0.99996334f + r * (0.5000437f + r * (0.16791031f +
                  r * 0.041458402f)));
    else
        p.value = 1.0000001f + r * (0.9999997f + r * (0.4999889f + r * (0.16667576f +
                  r * (0.04191563f + r * 0.0082976194f))));
    p.bits += (int32_t)whole << 23; /* times 2^whole: stays a normal number */
    return p.value;
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
ALWAYS_INLINE float logit_of(float z, const Pass *pass, Kind kind, float *slope)
{
    if (!kind.capped) {
        *slope = pass->scale;
        return z * pass->scale;
    }
    float u = z / pass->softcap;
    float e = exponential(clamp(2.0f * u, -40.0f, 40.0f), kind.rounds, 0);
    float t = tanh_of(u, e), inverse = 1.0f / (e + 1.0f);
    *slope = pass->scale * 4.0f * e * inverse * inverse; /* 1 - t^2 would cancel near 1 */
    return pass->scale * pass->softcap * t;
}

/* Columns [from, to) of one row. The sum is NaN where a logit is NaN: the clamp would make a number
 * of it. */
ALWAYS_INLINE void span(const Pass *pass, const char *row, char *result, float anchor,
                        int64_t from, int64_t to, RowSums *found, Kind kind)
{
    float sum = 0.0f, weighted = 0.0f, logits = 0.0f, largest = found->largest;
    uint32_t highest = 0;
    uint16_t highest_half = 0; /* twice as many at a time */
    for (int64_t j = from; j < to; j++) {
        float slope, z = read_element(row, j, kind.half);
        if (kind.half && !kind.biased) {
            uint16_t bits = ((const uint16_t *)row)[j] & 0x7fff;
            highest_half = bits > highest_half ? bits : highest_half;
        }
        if (kind.biased)
            z += pass->bias[j];
        if (!kind.half || kind.biased)
            highest = magnitude(z) > highest ? magnitude(z) : highest;
        float logit = logit_of(z, pass, kind, &slope);
        float x = clamp(logit - anchor, MIN_EXPONENT, MAX_EXPONENT);
        float e = exponential(x, kind.rounds, kind.half);
        sum += e;
        if (kind.statistics) {
            weighted += e * x;
            logits += logit;
            largest = logit > largest ? logit : largest;
        }
        if (kind.write)
            write_element(result, j, e * slope, kind.half);
    }
    highest |= (uint32_t)highest_half << 16;
    union { uint32_t bits; float value; } total = {.value = sum};
    if (highest > 0x7f800000)
        total.bits = 0x7fc00000;
    found->exponentials += total.value;
    found->weighted += weighted;
    found->logits += logits;
    found->largest = largest;
    found->highest = highest > found->highest ? highest : found->highest;
}

/* A bfloat16 product is rounded, by up to 2^-9 of itself: a few hundredths of a nat. Where few columns
 * hold a row's mass that would be the row's error, so products whose exponential is above this
 * share of the sum are made again in float32; the errors of the others average out. */
#define SHARE_TO_MEND (1.0f / 256)
#define SPAN 8192 /* columns at a time, whose raw products are set aside */
#define STRIDE 64 /* columns looked at together */
#define MOST 512  /* products made again together */
#define AHEAD 3   /* of them, whose rows of weight are fetched */

/* The least product, times the sign of the scale, whose logit may pass `least`; or a little less. */
ALWAYS_INLINE float least_product(float least, const Pass *pass, Kind kind)
{
    float z = least / fabsf(pass->scale);
    if (kind.capped) {
        float t = z / pass->softcap;
        if (fabsf(t) >= 1.0f)
            return t > 0.0f ? FLT_MAX : -FLT_MAX;
        z = pass->softcap * atanhf(t);
    }
    return z - 1e-3f * fabsf(z);
}

ALWAYS_INLINE const char *weight_row(const Pass *pass, int64_t j)
{
    return pass->weight + j * pass->weight_stride * 2;
}

/* Make the products of some columns of row i again; the sums and the result with them. */
ALWAYS_INLINE void make_again(const Pass *pass, int64_t i, const char *raw, char *result,
                              int64_t from, const int32_t *columns, int count, float least,
                              RowSums *found, Kind kind)
{
    const char *hidden = pass->hidden + i * pass->hidden_stride * 2;
    float anchor = pass->anchor[i];
    for (int n = 0; n < count; n++) {
        if (n + AHEAD < count) {
            const char *next = weight_row(pass, from + columns[n + AHEAD]);
            for (int64_t byte = 0; byte < pass->depth * 2; byte += 64)
                PREFETCH(next + byte);
        }
        int64_t j = from + columns[n];
        float slope, bias = kind.biased ? pass->bias[j] : 0.0f;
        float logit = logit_of(read_element(raw, columns[n], 1) + bias, pass, kind, &slope);
        if (logit - anchor <= least || j == pass->targets[i])
            continue;
        float product = dot(hidden, weight_row(pass, j), pass->depth, 1);
        float exact = logit_of(product + bias, pass, kind, &slope);
        float old_x = clamp(logit - anchor, MIN_EXPONENT, MAX_EXPONENT);
        float x = clamp(exact - anchor, MIN_EXPONENT, MAX_EXPONENT);
        float old_e = exponential(old_x, kind.rounds, 1), e = exponential(x, kind.rounds, 0);
        found->exponentials += e - old_e;
        found->weighted += e * x - old_e * old_x;
        found->logits += exact - logit;
        if (kind.write)
            write_element(result, j, e * slope, 1);
    }
}

/* Mend columns [from, from + count) of row i, whose raw products are given; the sums, too. */
ALWAYS_INLINE void mend(const Pass *pass, int64_t i, const char *raw, char *result, int64_t from,
                        int64_t count, float least, RowSums *found, Kind kind)
{
    int32_t columns[MOST + STRIDE];
    int hits = 0;
    float enough = least_product(least + pass->anchor[i], pass, kind);
    float sign = pass->scale < 0.0f ? -1.0f : 1.0f;
    for (int64_t block = 0; block < count; block += STRIDE) {
        int64_t end = block + STRIDE < count ? block + STRIDE : count;
        float z[STRIDE], best = -FLT_MAX;
        for (int64_t j = block; j < end; j++) {
            float bias = kind.biased ? pass->bias[from + j] : 0.0f;
            z[j - block] = sign * (read_element(raw, j, 1) + bias);
            best = z[j - block] > best ? z[j - block] : best;
        }
        if (best < enough)
            continue;
        for (int64_t j = block; j < end; j++) {
            columns[hits] = (int32_t)j;
            hits += z[j - block] >= enough;
        }
        if (hits >= MOST) {
            make_again(pass, i, raw, result, from, columns, hits, least, found, kind);
            hits = 0;
        }
    }
    make_again(pass, i, raw, result, from, columns, hits, least, found, kind);
}

ALWAYS_INLINE void row_pass(const Pass *pass, int64_t i, Kind kind, RowSums *found)
{
    int64_t bytes = kind.half ? 2 : 4, columns = pass->columns, target = pass->targets[i];
    const char *row = pass->tile + i * pass->tile_stride * bytes;
    char *result = kind.write ? pass->result + i * pass->result_stride * bytes : NULL;
    float anchor = pass->anchor[i];
    int64_t width = kind.half ? SPAN : columns;
    uint16_t aside[SPAN];
    for (int64_t from = 0; from < columns; from += width) {
        int64_t to = from + width < columns ? from + width : columns;
        int inside = target >= from && target < to;
        const char *raw = row + from * bytes;
        float slope;
        if (kind.half && kind.write && pass->hidden) {
            memcpy(aside, raw, (size_t)(to - from) * 2);
            raw = (const char *)aside;
        }
        float product = inside ? read_element(row, target, kind.half) : 0.0f;
        found->highest = 0;
        span(pass, row, result, anchor, from, inside ? target : to, found, kind);
        if (inside) {
            span(pass, row, result, anchor, target + 1, to, found, kind);
            if (kind.write) {
                logit_of(kind.biased ? product + pass->bias[target] : product, pass, kind, &slope);
                write_element(result, target, pass->own ? pass->own[i] * slope : 0.0f, kind.half);
            }
        }
        if (kind.half && pass->hidden) {
            float known = pass->sums ? pass->sums[i] : 0.0f;
            float total = pass->totals ? pass->totals[i] : known + found->exponentials + 1.0f;
            float least = logf(SHARE_TO_MEND * total);
            union { uint32_t bits; float value; } highest = {found->highest};
            /* |logit| rises with |product + bias| */
            if (fabsf(logit_of(highest.value, pass, kind, &slope)) - anchor > least)
                mend(pass, i, raw, result, from, to - from, least, found, kind);
        }
    }
}

ALWAYS_INLINE void rows_pass(const Pass *pass, int64_t from, int64_t to, Kind kind)
{
    for (int64_t i = from; i < to; i++) {
        RowSums found = {0.0f, 0.0f, 0.0f, kind.statistics ? pass->largest[i] : 0.0f, 0};
        row_pass(pass, i, kind, &found);
        if (pass->sums)
            pass->sums[i] += found.exponentials;
        if (kind.statistics) {
            pass->weighted[i] += found.weighted;
            pass->logits[i] += found.logits;
            pass->largest[i] = found.largest;
        }
    }
}
