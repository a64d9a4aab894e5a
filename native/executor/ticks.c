#include "ticks.h"

#include <signal.h>
#include <stddef.h>
#include <sys/time.h>

enum { TICK_US = 2000 };

static volatile sig_atomic_t running, wanted, came;
static sigjmp_buf *volatile jump;

void ticks_stop(void)
{
	const struct itimerval never = {0};
	if (running)
		setitimer(ITIMER_REAL, &never, NULL);
	running = 0;
}

static void on_tick(int signal)
{
	(void)signal;
	came = 1;
	if (!wanted)
		ticks_stop();
	wanted = 0;
	if (jump != NULL)
		siglongjmp(*jump, 1);
}

bool ticks_receive(void)
{
	/* The handler may not return: the signal must not stay blocked then. */
	const struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_NODEFER};
	sigset_t alarm;
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	return sigaction(SIGALRM, &action, NULL) == 0 && sigprocmask(SIG_UNBLOCK, &alarm, NULL) == 0;
}

void ticks_keep(void)
{
	const struct itimerval every = {{0, TICK_US}, {0, TICK_US}};
	came = 0;
	wanted = 1;
	if (running)
		return;
	running = 1;
	setitimer(ITIMER_REAL, &every, NULL);
}

bool ticks_came(void)
{
	return came;
}

void ticks_jump(sigjmp_buf *away)
{
	jump = away;
}
