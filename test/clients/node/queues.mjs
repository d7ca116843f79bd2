// Runs queues that an application makes itself with node-redis, of lists, of a sorted set and
// of a stream with a consumer group, while the server is killed and started again. Exits with
// 0 if every job that was acknowledged is done and nothing is left behind.
// Argument: the port at 127.0.0.1.
import assert from 'node:assert/strict';
import { createClient } from '@redis/client';
import { begin, Books, ended, isLost, isOver, report, sleep, until } from './books.mjs';

const port = Number(process.argv[2]);
const clients = [];

async function connect(RESP) {
  const client = createClient({ RESP, socket: { host: '127.0.0.1', port, reconnectStrategy: 50 } });
  client.on('error', report('node-redis'));
  await client.connect();
  clients.push(client);
  return client;
}

let stopped = false;

// forever calls step until the workers are stopped, over losses of the connection.
async function forever(recover, step) {
  let lost = true;
  while (!stopped) {
    try {
      if (lost) await recover();
      lost = false;
      await step();
    } catch (err) {
      if (!isLost(err)) throw err;
      lost = true;
      await sleep(20);
    }
  }
}

async function produce(prefix, books, add) {
  for (let i = 0; !isOver(); i++) {
    await books.promise([`${prefix}-${i}`], () => add(`${prefix}-${i}`));
    await sleep(2);
  }
}

// The list of what a worker has taken and not yet done is what makes a list a safe queue.
async function lists(RESP) {
  const jobs = new Books();
  const waiting = `list:${RESP}`;
  const c = await connect(RESP);
  const workers = [0, 1, 2].map(async (i) => {
    const w = await connect(RESP);
    const taken = `${waiting}:taken:${i}`;
    const finish = async (job) => {
      jobs.finish(job);
      await w.lRem(taken, 1, job);
    };
    return forever(
      async () => { for (const job of await w.lRange(taken, 0, -1)) await finish(job); },
      async () => {
        const job = await w.blMove(waiting, taken, 'LEFT', 'RIGHT', 0.1);
        if (job !== null) await finish(job);
      },
    );
  });
  const producer = produce('list', jobs, (id) => c.rPush(waiting, id));
  const check = async () => {
    await producer;
    await until('the end of the lists', () => jobs.missing().length === 0, () => jobs.missing());
    await until('empty lists', async () => (await c.keys(`${waiting}*`)).length === 0, () => c.keys(`${waiting}*`));
    jobs.balance('jobs of lists');
  };
  return { check, workers };
}

// Jobs that are due later, which a script moves to a list when they are.
async function later(RESP) {
  const jobs = new Books();
  const due = `later:${RESP}`;
  const c = await connect(RESP);
  const move = `local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 10)
    for _, id in ipairs(ids) do redis.call('ZREM', KEYS[1], id) redis.call('RPUSH', KEYS[2], id) end
    return #ids`;
  const w = await connect(RESP);
  const sha = await w.scriptLoad(move);
  const workers = [forever(async () => {}, async () => {
    try {
      await w.evalSha(sha, { keys: [due, `${due}:now`], arguments: [String(Date.now())] });
    } catch (err) {
      if (!/NOSCRIPT/.test(err.message)) throw err;
      await w.scriptLoad(move); // a new process knows no scripts
    }
    // Seen, done and removed: a kill between them repeats the job and does not lose it.
    const job = await w.lIndex(`${due}:now`, 0);
    if (job === null) return sleep(5);
    jobs.finish(job);
    await w.multi().lRem(`${due}:now`, 1, job).incr(`${due}:count`).exec();
  })];
  const producer = produce('later', jobs, (id) => c.zAdd(due, { value: id, score: Date.now() + Math.random() * 200 }));
  const check = async () => {
    await producer;
    await until('the end of what comes later', () => jobs.missing().length === 0, () => jobs.missing());
    await until('nothing due', async () => (await c.exists([due, `${due}:now`])) === 0);
    const count = Number(await c.get(`${due}:count`)), done = [...jobs.done.values()].reduce((a, b) => a + b);
    assert.ok(count >= jobs.acked.size && count <= done, `${count} counted, ${jobs.acked.size} acknowledged, ${done} done`);
    jobs.balance('jobs that come later');
  };
  return { check, workers };
}

async function streams(RESP) {
  const jobs = new Books();
  const stream = `stream:${RESP}`;
  const c = await connect(RESP);
  await c.xGroupCreate(stream, 'group', '0', { MKSTREAM: true });
  const workers = [0, 1].map(async (i) => {
    const w = await connect(RESP);
    const name = `consumer-${i}`;
    const finish = async ({ id, message }) => {
      jobs.finish(message.job);
      await w.xAck(stream, 'group', id);
    };
    const read = async (id) => {
      const got = await w.xReadGroup('group', name, { key: stream, id }, { COUNT: 10, BLOCK: 100 });
      const messages = got === null ? [] : got[0].messages;
      for (const message of messages) await finish(message);
      return messages.length;
    };
    return forever(
      async () => {
        while (await read('0') > 0); // what this consumer has been given and not finished
        const claimed = await w.xAutoClaim(stream, 'group', name, 5000, '0');
        for (const message of claimed.messages) await finish(message);
      },
      () => read('>'),
    );
  });
  const producer = produce('stream', jobs, (id) => c.xAdd(stream, '*', { job: id }));
  const check = async () => {
    await producer;
    await until('the end of the stream', () => jobs.missing().length === 0, () => jobs.missing());
    await until('nothing pending', async () => (await c.xPending(stream, 'group')).pending === 0);
    const [group] = await c.xInfoGroups(stream);
    assert.deepEqual([group.lag, group['entries-read']], [0, await c.xLen(stream)], 'lag and entries read of the group');
    jobs.balance('jobs of a stream');
  };
  return { check, workers };
}

// Messages may be lost with the connection, but none is invented, and who has subscribed hears
// again when the client has come back.
async function messages(RESP) {
  const heard = new Set(), sent = new Set();
  const subscriber = await connect(RESP);
  const channel = `news:${RESP}`;
  await subscriber.subscribe(channel, (text) => heard.add(text));
  await subscriber.pSubscribe(`${channel}:*`, (text, from) => heard.add(`${from} ${text}`));
  const c = await connect(RESP);
  const workers = [forever(async () => {}, async () => {
    const n = sent.size;
    sent.add(`${n}`).add(`${channel}:${n} ${n}`);
    await c.publish(channel, `${n}`);
    await c.publish(`${channel}:${n}`, `${n}`);
    await sleep(10);
  })];
  const check = async () => {
    const before = heard.size;
    await until('news after the last kill', () => heard.size > before + 10);
    assert.deepEqual([...heard].filter((text) => !sent.has(text)), [], 'heard, but never sent');
    console.log(`messages: ${sent.size} sent, ${heard.size} heard`);
  };
  return { check, workers };
}

const parts = [];
for (const RESP of [2, 3]) {
  for (const part of [lists, later, streams, messages]) parts.push(await part(RESP));
}
begin();
await ended;
for (const { check } of parts) await check();
stopped = true;
for (const { workers } of parts) await Promise.all(workers);
for (const client of clients) client.destroy();
process.exit();
