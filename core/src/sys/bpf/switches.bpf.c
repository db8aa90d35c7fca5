// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Counts the context switches and the wake-ups of the threads of some processes and of what these fork, thread by
// thread. `scripts/bpf-object` makes switches.bpf.o of it; src/sys/bpf/mod.rs loads that, and has the same structures.
//
// All are BTF tracepoints (tp_btf, Linux 5.5), whose arguments are pointers to the kernel's own types. Their fields
// are found by CO-RE, so that one object fits every kernel that has BTF. Numbers of processes and threads are those of
// the first PID namespace.
//
// A thread is on one CPU at a time, and the scheduler orders what happens to it, so that its counts need no atomic
// additions and no copy for each CPU. Only `woken_*` are written from another CPU, and only while it is off its own.
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

// A kernel has a GPL-compatible word in its list for this (license_is_gpl_compatible in include/linux/license.h).
char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define FROM_KERNEL __attribute__((preserve_access_index))

typedef struct {
	int counter;
} FROM_KERNEL atomic_t;

struct signal_struct {
	// Threads that have not begun to end.
	atomic_t live;
} FROM_KERNEL;

struct task_struct {
	// 0 when it can run: include/linux/sched.h, TASK_RUNNING. Its name since Linux 5.14.
	unsigned int __state;
	int pid;
	int tgid;
	struct signal_struct *signal;
} FROM_KERNEL;

struct task_struct___until_5_13 {
	long state;
} FROM_KERNEL;

// include/linux/sched.h: a thread that gives its CPU up for the last time.
#define TASK_DEAD 0x80

// What is counted of a thread.
struct switch_counts {
	// Times it gave its CPU up to wait, and was taken off it.
	__u64 waiting;
	__u64 preempted;
	// Of `waiting`: the CPU had nothing to do; it went to another thread of the watched processes.
	__u64 to_idle;
	__u64 direct;
	// Times it was given a CPU after it was seen to leave one, and of these on another than that.
	__u64 arrivals;
	__u64 migrated;
	// Times it was given a CPU after it waited and was woken; of these, by what ran on another CPU than it was given,
	// and by what ran on the account of a watched process.
	__u64 woken;
	__u64 woken_remotely;
	__u64 woken_by_own;
	// Nanoseconds in which it could run and had no CPU, over all `arrivals`.
	__u64 delay;
};

struct thread_entry {
	struct switch_counts counts;
	// Nanoseconds of CLOCK_MONOTONIC when it left its CPU, and when it was woken last; 0 is not known.
	__u64 left_at;
	__u64 woken_at;
	// What is known of it was seen since this number was set.
	__u32 epoch;
	// The CPU that it left, and that of its waker.
	__u32 cpu;
	__u32 woken_cpu;
	__u8 waits;
	__u8 woken_by_own;
	// The thread has ended; another one may get its number.
	__u8 ended;
	__u8 unused;
};

// The process numbers that are watched.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, __u8);
} processes SEC(".maps");

// The threads of them that have been seen. All entries are allocated beforehand, because a tracepoint must not.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct thread_entry);
} threads SEC(".maps");

// Threads that found no room there, together.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct switch_counts);
} others SEC(".maps");

// The number of the time in which it is counted; 0 is none. It rises each time that counting begins again, because
// nothing is known of what happened in between.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} epochs SEC(".maps");

static __always_inline __u32 current_epoch(void)
{
	__u32 first = 0;
	__u32 *epoch = bpf_map_lookup_elem(&epochs, &first);
	return epoch ? *epoch : 0;
}

static __always_inline bool is_watched(__u32 process)
{
	return process != 0 && bpf_map_lookup_elem(&processes, &process) != NULL;
}

// The entry of a thread of the watched processes. `watched` is true without an entry where there is no room for one.
static __always_inline struct thread_entry *entry_of(struct task_struct *task, __u32 epoch, bool *watched)
{
	__u32 thread = task->pid;
	*watched = false;
	// The idle thread of each CPU has the number 0.
	if (thread == 0)
		return NULL;
	struct thread_entry *entry = bpf_map_lookup_elem(&threads, &thread);
	// A thread that is known is watched until it has ended, also when its process is not in the list any more.
	if (!entry || entry->ended) {
		if (!is_watched(task->tgid))
			return NULL;
		if (!entry) {
			struct thread_entry none = {};
			bpf_map_update_elem(&threads, &thread, &none, BPF_NOEXIST);
			entry = bpf_map_lookup_elem(&threads, &thread);
		}
	}
	*watched = true;
	if (entry && (entry->ended || entry->epoch != epoch)) {
		entry->ended = 0;
		entry->epoch = epoch;
		entry->left_at = 0;
		entry->woken_at = 0;
	}
	return entry;
}

static __always_inline long state_of(struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return task->__state;
	return ((struct task_struct___until_5_13 *)task)->state;
}

static __always_inline void count_leaving(struct switch_counts *counts, bool waits, bool to_idle, bool direct)
{
	if (!waits) {
		counts->preempted++;
		return;
	}
	counts->waiting++;
	if (to_idle)
		counts->to_idle++;
	else if (direct)
		counts->direct++;
}

static __always_inline void count_arrival(struct thread_entry *entry, __u32 cpu, __u64 now)
{
	struct switch_counts *counts = &entry->counts;
	__u64 since = entry->left_at;
	if (since == 0)
		return;
	entry->left_at = 0;
	counts->arrivals++;
	if (entry->cpu != cpu)
		counts->migrated++;
	if (entry->waits) {
		if (entry->woken_at == 0)
			return;
		counts->woken++;
		if (entry->woken_cpu != cpu)
			counts->woken_remotely++;
		if (entry->woken_by_own)
			counts->woken_by_own++;
		// It may be woken before it has left.
		if (entry->woken_at > since)
			since = entry->woken_at;
		entry->woken_at = 0;
	}
	// The clocks of two CPUs may differ a little.
	if (now > since)
		counts->delay += now - since;
}

// (bool preempt, struct task_struct *prev, struct task_struct *next), and more since Linux 5.18.
SEC("tp_btf/sched_switch")
int on_switch(__u64 *arguments)
{
	__u32 epoch = current_epoch();
	if (epoch == 0)
		return 0;
	bool preempt = (__u8)arguments[0];
	struct task_struct *prev = (struct task_struct *)arguments[1];
	struct task_struct *next = (struct task_struct *)arguments[2];
	bool prev_watched, next_watched;
	struct thread_entry *leaving = entry_of(prev, epoch, &prev_watched);
	struct thread_entry *arriving = entry_of(next, epoch, &next_watched);
	if (!prev_watched && !next_watched)
		return 0;
	__u64 now = bpf_ktime_get_ns();
	__u32 cpu = bpf_get_smp_processor_id();
	if (prev_watched) {
		// As the kernel counts voluntary switches: __schedule in kernel/sched/core.c.
		long state = state_of(prev);
		bool waits = !preempt && state != 0;
		__u32 first = 0;
		struct switch_counts *counts = leaving ? &leaving->counts : bpf_map_lookup_elem(&others, &first);
		if (counts)
			count_leaving(counts, waits, next->pid == 0, next_watched);
		if (leaving) {
			leaving->left_at = now;
			leaving->cpu = cpu;
			leaving->waits = waits;
		}
		if (state & TASK_DEAD) {
			__u32 process = prev->tgid;
			if (leaving)
				leaving->ended = 1;
			// The number may be that of a stranger soon.
			if (prev->signal->live.counter == 0)
				bpf_map_delete_elem(&processes, &process);
		}
	}
	if (arriving)
		count_arrival(arriving, cpu, now);
	return 0;
}

// (struct task_struct *woken). It is called where the waker runs; sched_wakeup may be called on the CPU of the woken
// thread, after an interrupt that the waker sent (ttwu_queue in kernel/sched/core.c), and does not tell the waker then.
SEC("tp_btf/sched_waking")
int on_waking(__u64 *arguments)
{
	__u32 epoch = current_epoch();
	if (epoch == 0)
		return 0;
	bool watched;
	struct thread_entry *entry = entry_of((struct task_struct *)arguments[0], epoch, &watched);
	if (!entry)
		return 0;
	entry->woken_at = bpf_ktime_get_ns();
	entry->woken_cpu = bpf_get_smp_processor_id();
	// What an interrupt does is charged to the thread that it interrupts.
	entry->woken_by_own = is_watched(bpf_get_current_pid_tgid() >> 32);
	return 0;
}

// (struct task_struct *parent, struct task_struct *child), before the child may run.
SEC("tp_btf/sched_process_fork")
int on_fork(__u64 *arguments)
{
	struct task_struct *parent = (struct task_struct *)arguments[0];
	struct task_struct *child = (struct task_struct *)arguments[1];
	__u32 from = parent->tgid, process = child->tgid;
	__u8 yes = 1;
	if (process != from && is_watched(from))
		bpf_map_update_elem(&processes, &process, &yes, BPF_ANY);
	return 0;
}
