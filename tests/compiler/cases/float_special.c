#include <math.h>
#include <float.h>
#include <stdio.h>
int main(void) {
    printf("%g %g %g %d %d\n", DBL_MAX, DBL_MIN, FLT_MAX, DBL_DIG, FLT_MANT_DIG);
    printf("%d %d\n", isnan(NAN) != 0, isinf(INFINITY) != 0);
    printf("%f %f %f\n", floor(-1.5), ceil(1.2), fmod(7, 3));
    printf("%f\n", HUGE_VAL);
    printf("%g %g\n", __builtin_inf(), -__builtin_huge_val());
    printf("%d\n", __builtin_isnan(__builtin_nan("")));
    printf("%d\n", signbit(-0.0) != 0);
    printf("%f %f\n", fmin(1, 2), copysign(3, -1));
    printf("%.3f %.3f\n", sin(1), cosf(1));
    printf("%.6f\n", M_PI);
    float e = FLT_EPSILON;
    printf("%d\n", 1 + e > 1);
    printf("%d\n", (int)lround(2.5));
    int ex;
    double m = frexp(8.5, &ex);
    printf("%f %d\n", m, ex);
    return 0;
}
