/* The comparator asks the machine's clock, and real documents are of the past: CLOCK_REALTIME
 * stands still at $FIXED_TIME seconds. The clock that measures is left alone. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
    const char *fixed = getenv("FIXED_TIME");
    if (clock == CLOCK_REALTIME && fixed) {
        time->tv_sec = atol(fixed);
        time->tv_nsec = 0;
        return 0;
    }
    return syscall(SYS_clock_gettime, clock, time);
}
