// Counts the event ids on standard input, each exactly once: HOST PORT COUNTER.
const { readFileSync } = require("node:fs");
const { setTimeout: sleep } = require("node:timers/promises");
const Redis = require("ioredis");

async function addOnce(client, counter, token) {
  for (let attempt = 0; attempt < 100; attempt++) {
    try {
      return await client.call("QUIPU.ADD", counter, 1, "TOKEN", token);
    } catch (error) {
      // Without an answer it is counted or not: the same token settles it.
      if (error.name === "ReplyError" && !/^(UNKNOWN|BUSY)/.test(error.message)) throw error;
    }
    await sleep(Math.min(20 * 2 ** attempt, 1000));
  }
  throw new Error(`no answer for ${token}`);
}

async function main([host, port, counter]) {
  const client = new Redis(Number(port), host, { commandTimeout: 10_000 });
  client.on("error", () => {}); // it connects again by itself
  const tokens = readFileSync(0, "utf8").trim().split("\n");
  let repeats = 0;
  for (const token of tokens) {
    const [value, applied, position, repeat] = await addOnce(client, counter, token);
    repeats += repeat === "token";
  }
  console.log(`${tokens.length} events, ${repeats} of them answered again`);
  client.disconnect();
}

main(process.argv.slice(2));
