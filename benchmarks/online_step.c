/* LeNet-5, one pattern per update, in C as a careful programmer writes it without blocking or intrinsics: patches are
   unfolded, inner loops are contiguous and take five weights at a time, tanh is a rational function that vectorizes.
   It is the yardstick of online_step.py, which compiles it, verifies its gradient, and times it.

   Parameters lie in one vector: C1 6x25 + 6, S2 6 + 6, C3 60x25 + 16, S4 16 + 16, C5 120x400 + 120, F6 84x120 + 84. */

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { KK = 25, LINKS = 60, CLASSES = 10, PARAMETERS = 60000 };
enum { C1 = 0, S2 = 156, C3 = 168, S4 = 1684, C5 = 1716, F6 = 49836 };

static int first[17], sources[LINKS]; /* Table I: the S2 maps of C3 map m are sources[first[m]] .. sources[first[m + 1]] */
static float prototypes[CLASSES][84], gain;
static double j, scale;

static float x0[1024], x1[6 * 784], x2[6 * 196], x3[16 * 100], x4[400], x5[120], x6[84]; /* states */
static float d1[6 * 784], d2[6 * 196], d3[16 * 100], d4[400], d5[120], d6[84];           /* dE/dx, then dE/da */
static float field2[6 * 196], field4[400];                                               /* what S2 and S4 multiply */
static float unfolded1[KK * 784], unfolded3[6 * KK * 100], back3[6 * KK * 100];

void setup(const int32_t *table_first, const int32_t *table_sources, const float *centers, float average, double j9,
           double loss_scale) {
    for (int m = 0; m < 17; m++) first[m] = table_first[m];
    for (int k = 0; k < LINKS; k++) sources[k] = table_sources[k];
    memcpy(prototypes, centers, sizeof prototypes);
    gain = average, j = j9, scale = loss_scale;
}

static void squash(float *x, int n) {
    for (int i = 0; i < n; i++) {
        float z = x[i] * (2.0f / 3.0f);
        z = z > 8 ? 8 : z < -8 ? -8 : z;
        float u = z * z;
        float p = 9.99999970e-01f + u * (1.34381888e-01f + u * (3.56415337e-03f + u * (2.17732010e-05f + u * 1.50617482e-08f)));
        float q = 1 + u * (4.67715096e-01f + u * (2.61360051e-02f + u * (3.39917491e-04f + u * 8.45363656e-07f)));
        x[i] = 1.7159f * z * p / q;
    }
}

static void through_squash(const float *x, float *restrict d, int n) {
    for (int i = 0; i < n; i++) d[i] *= 2.0f / 3.0f * (1.7159f - x[i] * x[i] / 1.7159f);
}

static float total(const float *x, int n) {
    float s = 0;
    for (int i = 0; i < n; i++) s += x[i];
    return s;
}

static float dot(const float *x, const float *y, int n) {
    float s = 0;
    for (int i = 0; i < n; i++) s += x[i] * y[i];
    return s;
}

/* Row k of `patches` holds what kernel weight k meets at each of the out x out places. */
static void unfold(const float *x, int maps, int width, float *patches) {
    int out = width - 4;
    for (int map = 0; map < maps; map++, x += width * width)
        for (int k = 0; k < KK; k++)
            for (int y = 0; y < out; y++, patches += out)
                memcpy(patches, x + (y + k / 5) * width + k % 5, out * sizeof *x);
}

static void fold(const float *patches, int maps, int width, float *x) {
    int out = width - 4;
    memset(x, 0, maps * width * width * sizeof *x);
    for (int map = 0; map < maps; map++, x += width * width)
        for (int k = 0; k < KK; k++)
            for (int y = 0; y < out; y++, patches += out) {
                float *row = x + (y + k / 5) * width + k % 5;
                for (int i = 0; i < out; i++) row[i] += patches[i];
            }
}

static void correlate(const float *w, const float *u, int n, float *restrict a) {
    for (int k = 0; k < KK; k += 5, w += 5, u += 5 * n)
        for (int i = 0; i < n; i++)
            a[i] += w[0] * u[i] + w[1] * u[n + i] + w[2] * u[2 * n + i] + w[3] * u[3 * n + i] + w[4] * u[4 * n + i];
}

static void correlate_gradient(const float *d, const float *u, int n, float *restrict g) {
    for (int k = 0; k < KK; k += 5, g += 5, u += 5 * n) {
        float s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0;
        for (int i = 0; i < n; i++) {
            s0 += d[i] * u[i], s1 += d[i] * u[n + i], s2 += d[i] * u[2 * n + i];
            s3 += d[i] * u[3 * n + i], s4 += d[i] * u[4 * n + i];
        }
        g[0] = s0, g[1] = s1, g[2] = s2, g[3] = s3, g[4] = s4;
    }
}

static void correlate_back(const float *w, const float *d, int n, float *restrict u) {
    for (int k = 0; k < KK; k++, u += n)
        for (int i = 0; i < n; i++) u[i] += w[k] * d[i];
}

static void fill(float *x, float value, int n) {
    for (int i = 0; i < n; i++) x[i] = value;
}

static void subsample(const float *w, const float *x, int maps, int width, float *restrict field, float *restrict a) {
    int half = width / 2;
    for (int m = 0; m < maps; m++)
        for (int y = 0; y < half; y++, x += 2 * width, field += half, a += half)
            for (int i = 0; i < half; i++) {
                field[i] = gain * (x[2 * i] + x[2 * i + 1] + x[width + 2 * i] + x[width + 2 * i + 1]);
                a[i] = w[m] * field[i] + w[maps + m];
            }
}

static void subsample_back(const float *w, const float *field, const float *d, int maps, int width, float *g,
                           float *restrict dx) {
    int half = width / 2, n = half * half;
    for (int m = 0; m < maps; m++, field += n, d += n, dx += width * width) {
        g[m] = dot(field, d, n), g[maps + m] = total(d, n);
        for (int y = 0; y < width; y++)
            for (int i = 0; i < half; i++)
                dx[y * width + 2 * i] = dx[y * width + 2 * i + 1] = w[m] * gain * d[y / 2 * half + i];
    }
}

static void full(const float *w, const float *x, int inputs, int units, float *a) {
    for (int u = 0; u < units; u++) a[u] = dot(w + u * inputs, x, inputs) + w[units * inputs + u];
}

static void full_back(const float *w, const float *x, const float *d, int inputs, int units, float *restrict g,
                      float *restrict dx) {
    memset(dx, 0, inputs * sizeof *dx);
    for (int u = 0; u < units; u++, w += inputs, g += inputs)
        for (int i = 0; i < inputs; i++) g[i] = d[u] * x[i], dx[i] += d[u] * w[i];
    memcpy(g, d, units * sizeof *d);
}

static void forward(const float *w, const float *image) {
    memcpy(x0, image, sizeof x0);
    unfold(x0, 1, 32, unfolded1);
    for (int m = 0; m < 6; m++) {
        fill(x1 + m * 784, w[C1 + 6 * KK + m], 784);
        correlate(w + C1 + m * KK, unfolded1, 784, x1 + m * 784);
    }
    squash(x1, 6 * 784);
    subsample(w + S2, x1, 6, 28, field2, x2);
    squash(x2, 6 * 196);
    unfold(x2, 6, 14, unfolded3);
    for (int m = 0; m < 16; m++) {
        fill(x3 + m * 100, w[C3 + LINKS * KK + m], 100);
        for (int k = first[m]; k < first[m + 1]; k++)
            correlate(w + C3 + k * KK, unfolded3 + sources[k] * KK * 100, 100, x3 + m * 100);
    }
    squash(x3, 16 * 100);
    subsample(w + S4, x3, 16, 10, field4, x4);
    squash(x4, 400);
    full(w + C5, x4, 400, 120, x5);
    squash(x5, 120);
    full(w + F6, x5, 120, 84, x6);
    squash(x6, 84);
}

/* Eq. 9; dE/dx of F6 to d6. */
static double loss(int label) {
    double y[CLASSES], least = j;
    for (int i = 0; i < CLASSES; i++) {
        float s = 0;
        for (int k = 0; k < 84; k++) s += (x6[k] - prototypes[i][k]) * (x6[k] - prototypes[i][k]);
        y[i] = s;
        least = y[i] < least ? y[i] : least;
    }
    double sum = exp(least - j);
    for (int i = 0; i < CLASSES; i++) sum += exp(least - y[i]);
    for (int k = 0; k < 84; k++) d6[k] = 2 * (float)scale * (x6[k] - prototypes[label][k]);
    for (int i = 0; i < CLASSES; i++) {
        float p = exp(least - y[i]) / sum;
        if (p > 1e-30f)
            for (int k = 0; k < 84; k++) d6[k] -= 2 * (float)scale * p * (x6[k] - prototypes[i][k]);
    }
    return scale * (y[label] - least + log(sum));
}

/* From dE/dx of S4 down. */
static void backward_maps(const float *w, float *g) {
    through_squash(x4, d4, 400);
    subsample_back(w + S4, field4, d4, 16, 10, g + S4, d3);
    through_squash(x3, d3, 16 * 100);
    memset(back3, 0, sizeof back3);
    for (int m = 0; m < 16; m++) {
        const float *d = d3 + m * 100;
        g[C3 + LINKS * KK + m] = total(d, 100);
        for (int k = first[m]; k < first[m + 1]; k++) {
            correlate_gradient(d, unfolded3 + sources[k] * KK * 100, 100, g + C3 + k * KK);
            correlate_back(w + C3 + k * KK, d, 100, back3 + sources[k] * KK * 100);
        }
    }
    fold(back3, 6, 14, d2);
    through_squash(x2, d2, 6 * 196);
    subsample_back(w + S2, field2, d2, 6, 28, g + S2, d1);
    through_squash(x1, d1, 6 * 784);
    for (int m = 0; m < 6; m++) {
        g[C1 + 6 * KK + m] = total(d1 + m * 784, 784);
        correlate_gradient(d1 + m * 784, unfolded1, 784, g + C1 + m * KK);
    }
}

static void backward(const float *w, float *g) {
    through_squash(x6, d6, 84);
    full_back(w + F6, x5, d6, 120, 84, g + F6, d5);
    through_squash(x5, d5, 120);
    full_back(w + C5, x4, d5, 400, 120, g + C5, d4);
    backward_maps(w, g);
}

/* Backward through a full layer and its update in one pass: its gradient is never stored. */
static void full_learn(float *restrict w, const float *restrict eps, const float *restrict x, const float *restrict d,
                       int inputs, int units, float *restrict dx) {
    memset(dx, 0, inputs * sizeof *dx);
    for (int u = 0; u < units; u++, w += inputs, eps += inputs)
        for (int i = 0; i < inputs; i++) dx[i] += d[u] * w[i], w[i] -= eps[i] * (d[u] * x[i]);
    for (int u = 0; u < units; u++) w[u] -= eps[u] * d[u];
}

double gradient(const float *w, const float *image, int label, float *g) {
    forward(w, image);
    double value = loss(label);
    backward(w, g);
    return value;
}

double sweep(float *restrict w, const float *restrict eps, const float *images, const int64_t *labels, int n) {
    static float g[PARAMETERS];
    double losses = 0;
    for (int p = 0; p < n; p++) {
        losses += gradient(w, images + 1024 * p, labels[p], g);
        for (int k = 0; k < PARAMETERS; k++) w[k] -= eps[k] * g[k];
    }
    return losses;
}

/* The same updates with the gradients of C5 and F6, 97% of all parameters, never stored. */
double sweep_fused(float *restrict w, const float *restrict eps, const float *images, const int64_t *labels, int n) {
    static float g[C5];
    double losses = 0;
    for (int p = 0; p < n; p++) {
        forward(w, images + 1024 * p);
        losses += loss(labels[p]);
        through_squash(x6, d6, 84);
        full_learn(w + F6, eps + F6, x5, d6, 120, 84, d5);
        through_squash(x5, d5, 120);
        full_learn(w + C5, eps + C5, x4, d5, 400, 120, d4);
        backward_maps(w, g);
        for (int k = 0; k < C5; k++) w[k] -= eps[k] * g[k];
    }
    return losses;
}
