/* Each line from the fourth on is an error, and tsc must say so. */
import { Client } from "../../client/node/futured.mjs";
const client = new Client();
client.submit(5);
client.submit("echo", 1, { retries: "three" });
client.wait("an id", { returnWhen: "LATER" });
const x: number = client.url;
new Client("url", { secret: "x" });
client.map("echo", 5);
