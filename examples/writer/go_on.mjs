// The same from Node: node examples/writer/go_on.mjs http://localhost:12345 'The class is'
const [address = "http://localhost:12345", text = "", seed = "1"] = process.argv.slice(2);

const answer = await fetch(`${address}/write`, {
  method: "POST",
  headers: { "Content-Type": "application/json", Accept: "application/jsonl" },
  body: JSON.stringify({ data: text ? [text] : [], parameters: { words: 30, temperature: 0.8, seed: Number(seed) } }),
});

let rest = "";
for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + piece).split("\n");
  rest = lines.pop();
  for (const line of lines.map(JSON.parse)) {
    if (line.status?.code === 0) process.stdout.write("\n");
    else if (line.status !== undefined) throw new Error(line.detail);  // a problem (RFC 9457), whose status is HTTP's
    else process.stdout.write(line.text);
  }
}
