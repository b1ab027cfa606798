/* Motion repair: matching errors, the best vector per cell, sub-pixel steps, composition, averaging. Needs nothing but C99.
 *
 * Pictures are float32 luma, rows * 4 lines of columns * 4 pixels; fields are two planes (x, then y) of rows * columns
 * float32 vectors in pixels, one per cell of 4x4 pixels, where a vector that is not finite counts as none. Outside of a
 * picture its border is repeated. Sampling is bilinear at the exact position.
 *
 * Every function works on any content, keeps no state, may be called from several threads at once, and returns the same
 * bits every time and with every instruction set. The result is 0; -1 and nothing touched where a size is negative or
 * too large, a number of taps not supported or a pointer missing; -2 where memory ran out. Outputs must not overlap
 * inputs.
 * codecvsr/motion/{sample,resolve,refine,drift,steady,even}.py hold the same functions in numpy, readable. */
#ifndef CVSR_MOTION_H
#define CVSR_MOTION_H

#include "cvsr_field.h"

#define CVSR_MOST_CELLS 16384 /* per side, and 2^31 pixels in all */
#define CVSR_MOST_RADIUS 8    /* of a filter, in samples */

/* error[cell]: mean |current - other warped by field| around the cell, over the cell widened by two pixels on each side
 * with falling weights; infinity where the field is empty. */
CVSR_API int32_t cvsr_matching_error(const float *current, const float *other, const float *field, int32_t rows,
                                     int32_t columns, float *error);

/* Which of `count` pictures the vectors `raw` point at. A later picture must get below `must_win_by` times the error of
 * the best one before it.
 *
 * velocity: raw divided by the distance of the picture chosen, NaN where there is none; error: its matching error,
 * infinity where there is none. */
CVSR_API int32_t cvsr_best_reference(const float *current, const float *const *others, const float *distances,
                                     int32_t count, const float *raw, int32_t rows, int32_t columns, float must_win_by,
                                     float *velocity, float *error);

/* Carry each cell's vector along itself and multiply it by `sign`; where several arrive, the one with the smallest
 * priority stays, and of equal ones the last. landed: NaN where none arrives. */
CVSR_API int32_t cvsr_splat(const float *field, float sign, const float *priority, int32_t rows, int32_t columns,
                            float *landed);

/* Empty cells take the mean of their known neighbours, ring by ring; all zero where nothing is known. */
CVSR_API int32_t cvsr_fill_holes(const float *field, int32_t rows, int32_t columns, float *filled);

/* A field that may hold the motion looked for: `sign` times `field`, first carried along itself where there is a
 * `priority` (see cvsr_splat), with its holes filled. Without a field: no motion. */
struct cvsr_candidate {
    const float *field;
    const float *priority;
    float sign;
};

/* field, error: per cell the candidate with the smallest matching error, the first of equal ones. Candidates that are
 * empty everywhere are left out. */
CVSR_API int32_t cvsr_best_candidate(const float *current, const float *other, const struct cvsr_candidate *candidates,
                                     int32_t count, int32_t rows, int32_t columns, float *field, float *error);

/* A symmetric separable filter on height x width samples; taps[0] is the middle one, taps[radius] the outermost. */
CVSR_API int32_t cvsr_blur(const float *picture, int32_t height, int32_t width, const float *taps, int32_t radius,
                           float *blurred);

struct cvsr_refinement {
    const float *window;   /* taps on cells */
    const float *smooth;   /* likewise, for the field itself; NULL for none */
    int32_t window_radius; /* up to CVSR_MOST_RADIUS */
    int32_t smooth_radius;
    int32_t steps;
    float robust;       /* a difference of this size gets half the weight */
    float damping;      /* added to the diagonal of the 2x2 matrices */
    float longest_step; /* in pixels */
};

/* refined: `field` after Gauss-Newton steps towards where `other` matches `current`. */
CVSR_API int32_t cvsr_refine(const float *current, const float *other, const float *field, int32_t rows,
                             int32_t columns, const struct cvsr_refinement *how, float *refined);

/* composed: `first`, then `second` from where it points, bilinear between cell centres; vectors are in pixels. An empty
 * vector of `first` leads nowhere and stays empty. */
CVSR_API int32_t cvsr_compose(const float *first, const float *second, int32_t rows, int32_t columns, float *composed);

/* correction: what a refinement of `first` and then `second` changes, from `current` to `other`. */
CVSR_API int32_t cvsr_correct(const float *current, const float *other, const float *first, const float *second,
                              int32_t rows, int32_t columns, const struct cvsr_refinement *how, float *correction);

/* corrected: `field` and `share` times the sum of one or more `parts`. */
CVSR_API int32_t cvsr_spread(const float *field, const float *const *parts, int32_t count, float share, int32_t rows,
                             int32_t columns, float *corrected);

/* steadied: the weighted mean of `field`, which counts 1, and of `count` others. Each counts as its share says where it agrees
 * with `field`, half of it where it is `tolerance` pixels away, and not at all where it is empty; a negative share turns
 * its vectors round. */
CVSR_API int32_t cvsr_steady(const float *field, const float *const *others, const float *shares, int32_t count,
                             float tolerance, int32_t rows, int32_t columns, float *steadied);

/* evened: `field`, where `shares` (one plane, 0..1) are above 0 drawn to the mean of the vectors around, weighted by `taps`, by
 * shares and by how well they agree with it. Half of the way, for a share of 1, where they deviate `strength` times as much
 * as on average, or by `most_tolerance` pixels where that is less. Vectors that are not finite stay. */
CVSR_API int32_t cvsr_even(const float *field, const float *shares, const float *taps, int32_t radius, float strength,
                           float most_tolerance, int32_t rows, int32_t columns, float *evened);

/* warped: the picture where a flow (two planes, in pixels, x then y) points from each of its pixels; where the flow is NaN
 * it points nowhere else. */
CVSR_API int32_t cvsr_warp(const float *picture, const float *flow, int32_t height, int32_t width, float *warped);

#endif
