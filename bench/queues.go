package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

const jobSize = 200

// jobOf is a job that no other client has made, with that client's number in front.
func jobOf(w *worker) string {
	return fmt.Sprintf("%d:%d:%s", w.id, w.n, value(w.id<<20+w.n, jobSize))
}

// helperWait is what those who wait for jobs wait for at most, in seconds: they have to see the end of the run.
const helperWait = "0.1"

// resultWait is how long a job may take, in seconds.
const resultWait = 30

// listQueue is the reliable queue of lists: a job that is being done stands in a list of its own, and is taken from
// there when it has been done.
func listQueue(*mixesCommand) scene {
	return scene{mixes: []mix{
		{name: "queue, lists: LPUSH, LMOVE, LREM", op: listJob},
		{name: "queue, lists: half wait for jobs", op: awaitJob, helper: doJob},
	}}
}

func listJob(w *worker) error {
	if _, err := w.do("LPUSH", "jobs", jobOf(w)); err != nil {
		return err
	}
	job, err := w.do("LMOVE", "jobs", "doing", "RIGHT", "LEFT")
	if err != nil {
		return err
	}
	if job.IsNull() {
		return wrongAnswer(job, "LMOVE", "jobs", "doing") // as many have been put in as taken
	}
	return doneJob(w, "doing", job.Str)
}

func doneJob(w *worker, doing, job string) error {
	v, err := w.do("LREM", doing, "-1", job)
	if err == nil && v.Int != 1 {
		err = wrongAnswer(v, "LREM", doing)
	}
	return err
}

// awaitJob puts in a job and waits until somebody has done it.
func awaitJob(w *worker) error {
	if _, err := w.do("LPUSH", "waiting", jobOf(w)); err != nil {
		return err
	}
	v, err := w.do("BRPOP", "done:"+strconv.Itoa(w.id), strconv.Itoa(resultWait))
	if err == nil && len(v.Elems) != 2 {
		err = wrongAnswer(v, "BRPOP", "done")
	}
	return err
}

// doJob waits for a job, does it and tells who has put it in.
func doJob(w *worker) error {
	job, err := w.do("BRPOPLPUSH", "waiting", "worked", helperWait)
	if err != nil || job.IsNull() {
		return err
	}
	if err := doneJob(w, "worked", job.Str); err != nil {
		return err
	}
	by, _, _ := strings.Cut(job.Str, ":")
	_, err = w.do("LPUSH", "done:"+by, "ok")
	return err
}

const streamGroup = "workers"

// streamQueue is a stream with a group of consumers, from which entries go when they have been done.
func streamQueue(*mixesCommand) scene {
	return scene{
		fill: func(_ context.Context, s *server) error {
			_, err := s.call("XGROUP", "CREATE", "stream", streamGroup, "$", "MKSTREAM")
			return err
		},
		mixes: []mix{{name: "queue, stream: XADD, XREADGROUP, XACK, XDEL", op: streamJob}},
	}
}

func streamJob(w *worker) error {
	if _, err := w.do("XADD", "stream", "*", "job", jobOf(w)); err != nil {
		return err
	}
	v, err := w.do("XREADGROUP", "GROUP", streamGroup, strconv.Itoa(w.id), "COUNT", "1", "STREAMS", "stream", ">")
	if err != nil {
		return err
	}
	if len(v.Elems) != 1 || len(v.Elems[0].Elems) != 2 || len(v.Elems[0].Elems[1].Elems) != 1 {
		return wrongAnswer(v, "XREADGROUP")
	}
	id := v.Elems[0].Elems[1].Elems[0].Elems[0].Str
	for _, args := range [][]string{{"XACK", "stream", streamGroup, id}, {"XDEL", "stream", id}} {
		if v, err := w.do(args...); err != nil || v.Int != 1 {
			return firstError(err, wrongAnswer(v, args...))
		}
	}
	return nil
}

// firstError returns the first error that is not nil.
func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
