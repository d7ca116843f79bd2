// Runs job queues of BullMQ while the server is killed and started again, and exits with 0
// if every job that was acknowledged is done and the queues' own counts agree.
// Argument: the port at 127.0.0.1. The driver is ioredis, which sends again what was under way when
// a connection was lost; over node-redis, BullMQ itself fails such jobs, whatever the server.
import assert from 'node:assert/strict';
import { FlowProducer, Queue, QueueEvents, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { begin, Books, ended, isOver, progress, report, sleep, until } from './books.mjs';

const port = Number(process.argv[2]);
const clients = [];

function connection() {
  const client = new Redis({ host: '127.0.0.1', port, maxRetriesPerRequest: null, retryStrategy: () => 50 });
  client.on('error', report('ioredis'));
  clients.push(client);
  return client;
}

// A worker whose connection was lost also loses its locks: nobody may give up because of that.
const patient = { lockDuration: 2000, stalledInterval: 500, maxStalledCount: 1000, concurrency: 8 };

const queues = new Map();
const closing = [];

function queue(name) {
  const q = new Queue(name, { connection: connection() });
  q.on('error', report(`queue ${name}`));
  queues.set(name, q);
  closing.push(q);
  return q;
}

function worker(name, process, options = {}) {
  const w = new Worker(name, process, { connection: connection(), ...patient, ...options });
  // Who has lost the lock of a job to another worker is told so when it has done it too.
  w.on('error', (err) => { if (!/lock|not in the active state/i.test(err.message)) report(`worker ${name}`)(err); });
  closing.push(w);
  return w;
}

// loop calls add with names that rise until the test has ended.
async function loop(prefix, pause, add) {
  for (let i = 0; !isOver(); i++) {
    await add(`${prefix}-${i}`);
    await sleep(pause);
  }
}

async function countsAre(q, want) {
  const zero = { active: 0, completed: 0, delayed: 0, failed: 0, paused: 0, prioritized: 0, waiting: 0, 'waiting-children': 0 };
  const got = await q.getJobCounts(...Object.keys(zero));
  assert.deepEqual(got, { ...zero, ...want }, `counts of ${q.name}`);
}

// Jobs of every kind on one queue: at once, in bulk, delayed, with priorities, failing at first
// or for ever, and jobs that must be done before others.
async function everyday() {
  const jobs = new Books();
  const hopeless = new Books();
  const q = queue('everyday');
  const children = queue('children');
  const flows = new FlowProducer({ connection: connection() });
  flows.on('error', report('flows'));
  closing.push(flows);
  const events = new QueueEvents('everyday', { connection: connection() });
  events.on('error', report('events'));
  closing.push(events);
  await events.waitUntilReady();
  const heard = new Set();
  events.on('completed', ({ jobId }) => heard.add(jobId));

  worker('everyday', async (job) => {
    switch (job.name) {
      case 'flaky':
        if (job.attemptsMade < 2) throw new Error(`attempt ${job.attemptsMade}`);
        break;
      case 'hopeless':
        if (job.attemptsMade + 1 === job.opts.attempts) hopeless.finish(job.id);
        throw new Error('no hope');
      case 'delayed':
        assert.ok(Date.now() >= job.timestamp + job.opts.delay, `${job.id} comes too early`);
        break;
      case 'parent': {
        const values = Object.values(await job.getChildrenValues()).sort();
        assert.deepEqual(values, [0, 1, 2].map((i) => `${job.id}-child-${i}`), `what the children of ${job.id} have returned`);
        break;
      }
      case 'chatty':
        await job.updateProgress(50);
        await job.log('half done');
        await job.updateData({ ...job.data, seen: true });
        break;
      default:
    }
    jobs.finish(job.id);
    return job.id;
  });
  worker('children', async (job) => {
    jobs.finish(job.id);
    return job.id;
  });

  const producers = [
    loop('plain', 2, (id) => jobs.promise([id], () => q.add('plain', { id }, { jobId: id }))),
    loop('last-first', 20, (id) => jobs.promise([id], () => q.add('plain', { id }, { jobId: id, lifo: true }))),
    loop('chatty', 20, (id) => jobs.promise([id], () => q.add('chatty', { id }, { jobId: id, attempts: 100, backoff: 20 }))),
    loop('priority', 5, (id) => jobs.promise([id], () => q.add('plain', { id }, { jobId: id, priority: 1 + Math.floor(Math.random() * 10) }))),
    loop('delayed', 10, (id) => jobs.promise([id], () => q.add('delayed', { id }, { jobId: id, delay: 20 + Math.floor(Math.random() * 500) }))),
    loop('flaky', 10, (id) => jobs.promise([id], () => q.add('flaky', { id }, { jobId: id, attempts: 3, backoff: { type: 'exponential', delay: 10 } }))),
    loop('hopeless', 50, (id) => hopeless.promise([id], () => q.add('hopeless', { id }, { jobId: id, attempts: 2, backoff: 10 }))),
    loop('bulk', 20, (id) => {
      const names = [0, 1, 2, 3, 4].map((i) => `${id}-${i}`);
      return jobs.promise(names, () => q.addBulk(names.map((name) => ({ name: 'plain', data: { id: name }, opts: { jobId: name } }))));
    }),
    loop('flow', 20, (id) => {
      const names = [0, 1, 2].map((i) => `${id}-child-${i}`);
      return jobs.promise([id, ...names], () => flows.add({
        name: 'parent', queueName: 'everyday', data: { id }, opts: { jobId: id },
        children: names.map((name) => ({ name: 'child', queueName: 'children', data: { id: name }, opts: { jobId: name } })),
      }));
    }),
  ];

  return async () => {
    await Promise.all(producers);
    await until('the end of all jobs', () => jobs.missing().length + hopeless.missing().length === 0, 
      () => Promise.all([...jobs.missing(), ...hopeless.missing()].map(async (id) => [id, await q.getJobState(id)])));
    const own = [...jobs.acked].filter((id) => !/-child-/.test(id));
    // A job is done a moment before the queue knows.
    await until('a queue at rest', async () => (await q.getJobCountByTypes('completed', 'failed')) === own.length + hopeless.acked.size, () => q.getJobCounts());
    await countsAre(q, { completed: own.length, failed: hopeless.acked.size });
    await countsAre(children, { completed: jobs.acked.size - own.length });
    assert.deepEqual((await q.getCompleted(0, -1)).map((job) => job.id).sort(), own.sort(), 'completed jobs');
    assert.deepEqual((await q.getFailed(0, -1)).map((job) => job.id).sort(), [...hopeless.acked].sort(), 'failed jobs');
    await until('the events of all jobs', () => own.every((id) => heard.has(id)), () => own.filter((id) => !heard.has(id)));
    const chatty = await q.getJob('chatty-0');
    assert.deepEqual([chatty.data, chatty.progress, (await q.getJobLogs('chatty-0')).logs[0], await chatty.getState()], [{ id: 'chatty-0', seen: true }, 50, 'half done', 'completed']);
    jobs.balance('everyday jobs');
    hopeless.balance('jobs that fail for ever');
    await q.obliterate({ force: true });
    await countsAre(q, {});
  };
}

// A queue whose jobs may only be done at a rate.
async function limited() {
  const max = 10, duration = 200;
  const jobs = new Books();
  const q = queue('limited');
  const began = Date.now();
  let starts = 0;
  worker('limited', async (job) => {
    starts++;
    const most = max * (Math.ceil((Date.now() - began) / duration) + 1);
    assert.ok(starts <= most, `${starts} jobs have started, where ${most} may`);
    jobs.finish(job.id);
  }, { limiter: { max, duration } });
  const producer = loop('limited', 40, (id) => jobs.promise([id], () => q.add('limited', {}, { jobId: id })));
  return async () => {
    await producer;
    await until('the end of the limited jobs', () => jobs.missing().length === 0, () => jobs.missing());
    await until('a limited queue at rest', async () => (await q.getCompletedCount()) === jobs.acked.size, () => q.getJobCounts());
    await countsAre(q, { completed: jobs.acked.size });
    jobs.balance('limited jobs');
  };
}

// A queue that is paused before the first kill and stays so to the end.
async function paused() {
  const jobs = new Books();
  const q = queue('paused');
  await q.pause();
  worker('paused', async (job) => { jobs.finish(job.id); });
  for (let i = 0; i < 20; i++) await jobs.promise([`paused-${i}`], () => q.add('paused', {}, { jobId: `paused-${i}` }));
  for (let i = 0; i < 5; i++) await q.add('single', {}, { deduplication: { id: 'single' } });
  return async () => {
    assert.equal(await q.isPaused(), true, 'paused');
    assert.equal(jobs.done.size, 0, 'jobs that a paused queue has let through');
    assert.equal(await q.count(), 21, 'jobs that wait, one of them unique');
    jobs.sent.add(await q.getDeduplicationJobId('single'));
    await q.resume();
    await until('the end of the paused jobs', async () => jobs.missing().length === 0 && (await q.getCompletedCount()) === 21, () => q.getJobCounts());
    await countsAre(q, { completed: 21 });
    jobs.balance('paused jobs');
  };
}

// Jobs of a worker that hangs without renewing its locks: another takes them over.
async function stalled() {
  const jobs = new Books();
  const q = queue('stalled');
  const names = [0, 1, 2, 3, 4].map((i) => `stalled-${i}`);
  for (const name of names) await jobs.promise([name], () => q.add('stalled', {}, { jobId: name }));
  let taken = 0;
  const hung = worker('stalled', () => { taken++; return new Promise(() => {}); }, { concurrency: 3, lockDuration: 500, skipLockRenewal: true, skipStalledCheck: true });
  await until('a worker that hangs', () => taken >= 3);
  closing.splice(closing.indexOf(hung), 1);
  await hung.close(true);
  worker('stalled', async (job) => { jobs.finish(job.id); });
  return async () => {
    await until('the end of the stalled jobs', async () => jobs.missing().length === 0 && (await q.getCompletedCount()) === names.length, () => q.getJobCounts());
    await countsAre(q, { completed: names.length });
    jobs.balance('stalled jobs');
  };
}

// A job that comes again and again.
async function scheduled() {
  const q = queue('scheduled');
  const ticks = new Map();
  worker('scheduled', async (job) => {
    ticks.set(job.id, (ticks.get(job.id) ?? 0) + 1);
    progress();
  });
  await q.upsertJobScheduler('tick', { every: 100 }, { name: 'tick', data: { of: 'the clock' } });
  return async () => {
    const seen = ticks.size;
    await until('a schedule that has outlived the kills', () => ticks.size > seen + 2);
    assert.equal(await q.getJobSchedulersCount(), 1);
    assert.equal(await q.removeJobScheduler('tick'), true);
    await until('a schedule at rest', async () => {
      const counts = await q.getJobCounts('waiting', 'active', 'delayed', 'prioritized');
      return Object.values(counts).every((n) => n === 0);
    }, () => q.getJobCounts());
    const completed = (await q.getCompleted(0, -1)).map((job) => job.id).sort();
    assert.deepEqual(completed, [...ticks.keys()].sort(), 'ticks');
    console.log(`schedule: ${ticks.size} ticks`);
  };
}

const checks = [];
for (const part of [everyday, limited, paused, stalled, scheduled]) checks.push(await part());
begin();
await ended;
for (const check of checks) await check();
await Promise.all(closing.map((c) => c.close()));
for (const client of clients) client.disconnect();
process.exit();
