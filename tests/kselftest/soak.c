// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once, for as long as one likes: processes that run jobs, bind,
 * evict each other, ring doorbells, share buffers and make mistakes (soak_work.c),
 * on all cards. Meanwhile one after the other is killed, and cards are reset,
 * from outside and from inside. In the end nothing is lost: what the processes
 * stored is there, every fence has signalled, also those of processes that have
 * been killed, and all memory has come back.
 *
 * SILI_SOAK_SECONDS says how long (default 10), SILI_SOAK_SEED repeats a run as
 * far as processes beside each other can.
 */
#include <limits.h>
#include <linux/sync_file.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "kselftest.h"
#include "soak.h"

#define MAX_CARDS     4
#define MAX_KINDS     8
#define PER_KIND      2 /* one that stays, one that is killed */
#define MAX_WITNESSES 512

static uint64_t rng;
static struct soak_shared *all;

static struct soak_card cards[MAX_CARDS];
static unsigned int num_cards, small;

static struct process {
	pid_t pid;
	unsigned int kind;
} processes[PER_KIND * MAX_KINDS];
static unsigned int num_processes;

/* Fences that have not signalled yet. */
static struct {
	struct pollfd fd[MAX_WITNESSES];
	int64_t until[MAX_WITNESSES];
	unsigned int num, seen;
	int socket[2];
} witnesses;

static bool one_in(uint32_t n)
{
	return !util_below(&rng, n);
}

/* ---- cards ---- */

static int memory(const struct soak_card *card, struct drm_siliflow_query_memory *m)
{
	int fd = open(card->node, O_RDWR | O_CLOEXEC);
	int ret = fd < 0 ? -errno : util_query(fd, DRM_SILIFLOW_QUERY_MEMORY, m, sizeof(*m));

	close(fd);
	return ret;
}

static void find_cards(void)
{
	for (unsigned int i = 0; i < MAX_CARDS; i++) {
		struct soak_card *card = &cards[num_cards];
		int fd;

		snprintf(card->node, sizeof(card->node), "/dev/sili%u", i);
		fd = open(card->node, O_RDWR | O_CLOEXEC);
		if (fd < 0 || util_pci(fd, card->pci) || memory(card, &card->before)) {
			close(fd);
			continue;
		}
		close(fd);
		if (card->before.hbm_size < cards[small].before.hbm_size)
			small = num_cards;
		num_cards++;
	}
}

/* What is freed behind a fence comes back a little later. */
static bool returned(const struct soak_card *card)
{
	struct drm_siliflow_query_memory m = {};

	for (int i = 0; i < SOAK_PATIENCE_S * 10; i++) {
		if (!memory(card, &m) && m.hbm_used <= card->before.hbm_used &&
		    m.system_used <= card->before.system_used)
			return true;
		usleep(100000);
	}
	ksft_print_msg("%s: HBM %llu, was %llu; system %llu, was %llu\n", card->node,
		       (unsigned long long)m.hbm_used,
		       (unsigned long long)card->before.hbm_used,
		       (unsigned long long)m.system_used,
		       (unsigned long long)card->before.system_used);
	return false;
}

/* A reset of the function, one of the device logic, or firmware that stops. */
static int disturb(void)
{
	const struct soak_card *card = &cards[util_below(&rng, num_cards)];
	static const char *const words[] = { "device", "firmware" };
	uint32_t what = util_below(&rng, 3);
	char path[128];
	int ret;

	if (what < ARRAY_SIZE_T(words))
		snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%s/recover", card->pci);
	else
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", card->pci);
	ret = util_write_file(path, what < ARRAY_SIZE_T(words) ? words[what] : "1");
	if (ret)
		ksft_print_msg("%s: %s\n", path, strerror(-ret));
	return ret;
}

/* ---- processes ---- */

static void begin(struct process *p)
{
	/* Memory is scarce on the small card. */
	unsigned int card = one_in(4) ? util_below(&rng, num_cards) : small;
	struct soak_worker w = {
		.card = &cards[card], .other = &cards[(card + 1) % num_cards], .all = all,
		.witness = 3, .rng = util_random(&rng) };

	fflush(stdout);
	p->pid = fork();
	if (p->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Fences of others are not this one's to keep. */
	if (dup2(witnesses.socket[1], w.witness) < 0 || close_range(w.witness + 1, ~0u, 0))
		_exit(1);
	_exit(!!soak_kinds[p->kind].run(&w));
}

/* False: it does not go. status = how it went. */
static bool gone(struct process *p, int *status)
{
	for (int i = 0; p->pid > 0 && i < SOAK_PATIENCE_S * 100; i++) {
		if (waitpid(p->pid, status, WNOHANG) == p->pid) {
			p->pid = 0;
			return true;
		}
		usleep(10000);
	}
	if (p->pid > 0)
		ksft_print_msg("%s does not end\n", soak_kinds[p->kind].name);
	return p->pid <= 0;
}

/* Has one ended that should not? */
static bool ended_early(void)
{
	bool any = false;

	for (unsigned int i = 0; i < num_processes; i++) {
		struct process *p = &processes[i];
		int status;

		if (waitpid(p->pid, &status, WNOHANG) != p->pid)
			continue;
		p->pid = 0;
		any = true;
		ksft_print_msg("%s ended with %#x\n", soak_kinds[p->kind].name, status);
	}
	return any;
}

/* ---- fences ---- */

static void take_witnesses(void)
{
	while (witnesses.num < MAX_WITNESSES) {
		union {
			struct cmsghdr head;
			char room[CMSG_SPACE(sizeof(int))];
		} control = {};
		char byte;
		struct iovec data = { .iov_base = &byte, .iov_len = 1 };
		struct msghdr m = {
			.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
			.msg_controllen = sizeof(control) };
		struct pollfd *fd = &witnesses.fd[witnesses.num];

		if (recvmsg(witnesses.socket[0], &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
			return;
		if (control.head.cmsg_type != SCM_RIGHTS)
			continue;
		*fd = (struct pollfd){ .events = POLLIN };
		memcpy(&fd->fd, CMSG_DATA(&control.head), sizeof(fd->fd));
		witnesses.until[witnesses.num++] = util_deadline(SOAK_PATIENCE_S * 1000);
		witnesses.seen++;
	}
}

/* Drop those that have signalled. False: one has had enough time. */
static bool fences_signal(void)
{
	bool ok = true;

	take_witnesses();
	poll(witnesses.fd, witnesses.num, 0);
	for (unsigned int i = witnesses.num; i-- > 0;) {
		if (!witnesses.fd[i].revents) {
			ok = ok && util_deadline(1) < witnesses.until[i];
			continue;
		}
		close(witnesses.fd[i].fd);
		witnesses.fd[i] = witnesses.fd[--witnesses.num];
		witnesses.until[i] = witnesses.until[witnesses.num];
	}
	return ok;
}

static bool all_fences_signal(void)
{
	bool ok;

	do {
		ok = fences_signal();
		usleep(10000);
	} while (ok && witnesses.num);
	return ok;
}

/* ---- the run ---- */

static bool hang, wrong, silent, stuck;

static void soak(int64_t stop)
{
	unsigned int killed = 0, disturbed = 0;

	for (unsigned int i = 0; i < num_processes; i++)
		begin(&processes[i]);
	while (util_deadline(1) < stop && !hang && !wrong && !silent && !stuck) {
		struct process *p = &processes[PER_KIND * util_below(&rng, soak_num_kinds)];
		int status;

		usleep(50000 + util_below(&rng, 200000));
		wrong = ended_early();
		silent = !fences_signal();
		if (one_in(4)) {
			stuck = disturb();
			disturbed++;
		}
		if (wrong || one_in(2))
			continue;
		kill(p->pid, SIGKILL);
		hang = !gone(p, &status);
		wrong = !hang && status != SIGKILL;
		killed++;
		if (!hang)
			begin(p);
	}
	__atomic_store_n(&all->stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < num_processes; i++) {
		int status = 0;

		hang |= !gone(&processes[i], &status);
		wrong |= status;
	}
	silent |= !all_fences_signal();
	ksft_print_msg("%u jobs, %u of them lost in %u resets; %u processes killed\n", all->jobs,
		       all->lost, disturbed, killed);
	ksft_print_msg("%u looks, %u of them at evicted memory; %u fences watched\n", all->looks,
		       all->evicted, witnesses.seen);
}

int main(void)
{
	uint64_t seconds = util_setting("SILI_SOAK_SECONDS", 10);
	uint64_t seed = util_setting("SILI_SOAK_SEED", (uint64_t)util_deadline(1));
	int refs = util_module_refs();
	bool back = true;

	ksft_print_header();
	setvbuf(stdout, NULL, _IOLBF, 0);
	ksft_set_plan(6);
	ksft_print_msg("%llu s, seed %llu\n", (unsigned long long)seconds,
		       (unsigned long long)seed);
	rng = seed | 1;
	find_cards();
	if (!num_cards)
		ksft_exit_fail_msg("no card\n");
	all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, witnesses.socket))
		ksft_exit_fail_msg("no memory\n");
	/* So slow may a machine be; who makes mistakes asks for less. */
	util_param("timeout_ms", SOAK_PATIENCE_S * 500);
	num_processes = PER_KIND * soak_num_kinds;
	for (unsigned int i = 0; i < num_processes; i++)
		processes[i].kind = i / PER_KIND;
	soak(util_deadline((int)seconds * 1000));
	util_param("timeout_ms", 10000);
	for (unsigned int i = 0; i < num_cards; i++)
		back &= returned(&cards[i]);
	ksft_test_result(!hang, "no process hangs\n");
	ksft_test_result(!wrong && all->looks, "everything is as it was stored\n");
	ksft_test_result(!silent && witnesses.seen, "every fence has signalled\n");
	ksft_test_result(!stuck && !util_usable(), "the first card works\n");
	ksft_test_result(back, "all memory has come back\n");
	ksft_test_result(util_module_refs() == refs, "nobody uses the module any more\n");
	ksft_finished();
}
