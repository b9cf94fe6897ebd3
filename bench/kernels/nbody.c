/* nbody.c: five bodies under gravity, as in the Computer Language Benchmarks Game.
 *
 * Exercises float arithmetic with many live values, division and square root, and loads and stores
 * of structures' fields.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum { BODIES = 5, STEPS = 64 };

struct body {
    double x, y, z, vx, vy, vz, mass;
};

/* Positions in astronomical units, velocities per day; masses in suns. */
static const struct body initial[BODIES] = {
    {0, 0, 0, 0, 0, 0, 1},
    {4.8414314424647209, -1.16032004402742839, -0.103622044471123109, 0.00166007664274403694,
     0.00769901118419740425, -6.90460016972063023e-05, 0.000954791938424326609},
    {8.34336671824457987, 4.12479856412430479, -0.403523417114321381, -0.00276742510726411,
     0.00499852801234917238, 2.30417297573763929e-05, 0.000285885980666130812},
    {12.8943695621391310, -15.1111514016986312, -0.223307578892655734, 0.00296460137564761618,
     0.00237847173959480950, -2.96589568540237556e-05, 4.36624404335156298e-05},
    {15.3796971148509165, -25.9193146099879641, 0.179258772950371181, 0.00268067772490389322,
     0.00162824170038242295, -9.51592254519715870e-05, 5.15138902046611451e-05},
};
static const double sun_days = 2.959122082855911e-4; /* G, in these units */
static struct body bodies[BODIES];

static void attract(struct body *a, struct body *b, double dt)
{
    double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
    double square = dx * dx + dy * dy + dz * dz;
    double magnitude = sun_days * dt / (square * __builtin_sqrt(square));
    a->vx -= dx * b->mass * magnitude, b->vx += dx * a->mass * magnitude;
    a->vy -= dy * b->mass * magnitude, b->vy += dy * a->mass * magnitude;
    a->vz -= dz * b->mass * magnitude, b->vz += dz * a->mass * magnitude;
}

static void advance(double dt)
{
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++) {
            attract(&bodies[i], &bodies[j], dt);
        }
    }
    for (int i = 0; i < BODIES; i++) {
        bodies[i].x += dt * bodies[i].vx;
        bodies[i].y += dt * bodies[i].vy;
        bodies[i].z += dt * bodies[i].vz;
    }
}

uint32_t run(uint32_t n)
{
    uint32_t sum = 0;
    bytes_copy(bodies, initial, sizeof(bodies));
    for (uint32_t step = 0; step < n * STEPS; step++) {
        advance(0.5);
    }
    for (int i = 0; i < BODIES; i++) {
        sum = mix(sum, (uint32_t)(int32_t)(bodies[i].x * 1e6));
        sum = mix(sum, (uint32_t)(int32_t)(bodies[i].y * 1e6));
    }
    return sum;
}
