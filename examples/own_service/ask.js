// node ask.js PORT TEXT...: has each TEXT shouted, alone, and then all in one call. See shouting.py.
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [port, ...texts] = process.argv.slice(2);
const { shouting } = grpc.loadPackageDefinition(loader.loadSync(path.join(__dirname, "shouting.proto")));
const client = new shouting.Shouting(`127.0.0.1:${port}`, grpc.credentials.createInsecure());

for (const text of texts) {
  client.shout({ text }, (error, said) => console.log(error ? `${grpc.status[error.code]}: ${error.details}` : said.text));
}
const each = client.shoutEach();
const all = [];
each.on("data", (said) => all.push(said.text));
each.on("end", () => console.log(all.join(" ")));
texts.forEach((text) => each.write({ text }));
each.end();
