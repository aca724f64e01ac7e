/* Named steps of the road at which a test may kill or stop the process; nothing at all in builds without PR_FAULTS. */
#ifndef PR_BASE_FAULT_H
#define PR_BASE_FAULT_H

#ifdef PR_FAULTS

#include <stdatomic.h>
#include <stdint.h>

/*
 * POSTRIDER_FAULT=NAME:ACTION[:MIN_ON_WIRE[:NTH]] in the environment: the NTH time (1) that NAME is reached while the gauge is at MIN_ON_WIRE (0)
 * or above, the process says so on stderr and sends itself SIGKILL (kill) or SIGSTOP (stop). A text that is none of this ends the process.
 */
void pr_fault_at(const char *name);

/* What MIN_ON_WIRE is compared with; borrowed for the life of the process. */
void pr_fault_gauge(const _Atomic int32_t *on_wire);

#define PR_FAULT(name) pr_fault_at(name)
#define PR_FAULT_IF(condition, name) ((condition) ? pr_fault_at(name) : (void)0)
#define PR_FAULT_GAUGE(on_wire) pr_fault_gauge(on_wire)

#else

#define PR_FAULT(name) ((void)0)
#define PR_FAULT_IF(condition, name) ((void)0)
#define PR_FAULT_GAUGE(on_wire) ((void)0)

#endif

#endif
