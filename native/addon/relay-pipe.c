/* Bytes that go from socket to socket through a pipe, which holds references to them and no copy. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "relay.h"

static bool take_pipe(struct relay *r, struct flow *f)
{
	if (f->has_pipe)
		return true;
	if (r->pipe_count == MOST_PIPES)
		return false;
	if (r->spare_count > 0) {
		r->spare_count--;
		f->pipe[0] = r->spare[r->spare_count][0];
		f->pipe[1] = r->spare[r->spare_count][1];
	} else if (pipe2(f->pipe, O_CLOEXEC | O_NONBLOCK) != 0)
		return false;
	r->pipe_count++;
	return f->has_pipe = true;
}

/* A pipe that is empty serves the next. */
void pipe_drop(struct relay *r, struct flow *f)
{
	if (!f->has_pipe)
		return;
	f->has_pipe = false;
	r->pipe_count--;
	if (f->piped == 0 && r->spare_count < MOST_SPARE) {
		r->spare[r->spare_count][0] = f->pipe[0];
		r->spare[r->spare_count++][1] = f->pipe[1];
		return;
	}
	f->piped = 0;
	close(f->pipe[0]);
	close(f->pipe[1]);
}

void pipe_close_spare(struct relay *r)
{
	for (uint32_t i = 0; i < r->spare_count; i++) {
		close(r->spare[i][0]);
		close(r->spare[i][1]);
	}
}

/* As recv(2), into the flow's pipe, which must be empty. EINVAL, EMFILE: it has to be copied after all. */
ssize_t pipe_fill(struct relay *r, struct flow *f, int from, size_t most)
{
	if (!take_pipe(r, f)) {
		errno = EMFILE;
		return -1;
	}
	const ssize_t n = splice(from, NULL, f->pipe[1], NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n > 0)
		f->piped = (size_t)n;
	else {
		const int error = errno;
		pipe_drop(r, f);
		errno = error;
	}
	return n;
}

/* 1: the pipe is empty, 0: the receiver takes no more at present, -1: failed. */
int pipe_drain(struct relay *r, struct flow *f, int to)
{
	while (f->piped > 0) {
		const ssize_t n = splice(f->pipe[0], NULL, to, NULL, f->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -1;
		f->piped -= (size_t)n;
	}
	pipe_drop(r, f);
	return 1;
}
