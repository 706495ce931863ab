// What llama.cpp makes of a GGUF file, by npm's node-llama-cpp, against entrenar's own numbers.
// usage: node llama_cpp.mjs NODE_MODULES CHECKS.json
//
// CHECKS: {model, adapter?, tokenizer?: [{text, ids}], texts?: [[ids]], probabilities?: FILE, perplexity?, within?,
// greedy?: {prompt, text, tokens}}. Prints a line a check, and exits 1 if one does not hold.
import {readFileSync} from "node:fs";
import {pathToFileURL} from "node:url";

const [modules, checksFile] = process.argv.slice(2);
const {getLlama} = await import(pathToFileURL(`${modules}/node-llama-cpp/dist/index.js`).href);
const checks = JSON.parse(readFileSync(checksFile, "utf8"));
const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: 2, progressLogs: false});
let failed = false;
const say = (good, text) => { failed ||= !good; console.log(`${good ? "ok   " : "FAIL "} ${text}`); };

for (const c of checks) {
    const model = await llama.loadModel({modelPath: c.model, gpuLayers: 0});
    let wrong = 0, first;
    for (const {text, ids} of c.tokenizer ?? []) {
        const found = [...model.tokenize(text, true)];
        if (found.join() !== ids.join() && wrong++ === 0) first = {text, ids, found};
    }
    if (c.tokenizer)
        say(wrong === 0, `${c.name}: ids of ${c.tokenizer.length} texts, ${wrong} differ` +
            (first ? `, the first: ${JSON.stringify(first)}` : ""));
    if (!c.texts && !c.greedy) continue;
    const context = await model.createContext({contextSize: 512, batchSize: 512, flashAttention: false,
        experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32", lora: c.adapter});
    const sequence = context.getSequence();
    if (c.texts) {
        const file = readFileSync(c.probabilities);
        const expected = new Float32Array(file.buffer, file.byteOffset, file.length / 4);
        let at = 0, worst = 0, sum = 0, ours = 0, n = 0;
        for (const ids of c.texts) {
            await sequence.clearHistory();
            const out = await sequence.controlledEvaluate(ids.map((id) => [id, {generateNext: {probabilities: true,
                options: {temperature: 1, topK: 0, topP: 1, minP: 0}}}]));
            const size = out[0].next.probabilities.size;
            for (let t = 0; t < ids.length; t++, at += size) {
                const found = out[t].next.probabilities;
                for (let k = 0; k < size; k++) worst = Math.max(worst, Math.abs(found.get(k) - expected[at + k]));
                if (t + 1 < ids.length) {
                    sum -= Math.log(found.get(ids[t + 1])); ours -= Math.log(expected[at + ids[t + 1]]); n++;
                }
            }
        }
        if (at !== expected.length) say(false, `${c.name}: ${at} probabilities, expected ${expected.length}`);
        const found = Math.exp(sum / n), own = Math.exp(ours / n), within = c.within ?? 1e-3;
        say(worst <= within && Math.abs(found - own) <= (c.perplexity ?? 1e-3) * own, `${c.name}: perplexity ${found.toFixed(5)}, ours ` +
            `${own.toFixed(5)}; ${n} tokens, probabilities differ by up to ${worst.toExponential(2)} (allowed ${within})`);
    }
    if (c.greedy) {
        await sequence.clearHistory();
        const {prompt, text, tokens} = c.greedy, ids = [];
        const start = [...(model.tokens.shouldPrependBosToken ? [model.tokens.bos] : []), ...model.tokenize(prompt, false)];
        for await (const id of sequence.evaluate(start, {temperature: 0})) {
            ids.push(id);
            if (ids.length === tokens) break;
        }
        const found = model.detokenize([...start, ...ids]).trim();
        say(found === text.trim(), `${c.name}: greedy text ${JSON.stringify(found.slice(0, 60))}...` +
            (found === text.trim() ? "" : ` ours ${JSON.stringify(text.trim().slice(0, 200))}`));
    }
    await context.dispose();
    await model.dispose();
}
process.exit(failed ? 1 : 0);
