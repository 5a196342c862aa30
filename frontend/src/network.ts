/** The bundle in the browser: the same ONNX file as everywhere, run by onnxruntime-web. */
import * as ort from "onnxruntime-web";
import { BRAIN_TUMORS, classSetOf, findingProbability, namesOf } from "./classes";
import { checkRules, type ConformalThresholds, decide, type DecisionRule, likeliestKind, predictionSet, thresholdsFor } from "./decision";
import { explain } from "./heatmap";
import { refusalOf } from "./layout";
import { softmax } from "./postprocessing";
import { normalize, type Plane, preprocess, type PreprocessConfig } from "./preprocessing";
import { contradiction, knownSequence, predictedSequence } from "./sequence";
import { summarize } from "./summary";
import type { ClassSet, Classified, Prediction, Stated } from "./types";
import { named } from "./volume";

export interface BundleInfo {
  name: string;
  version: string;
  /** A list of names in older formats. */
  classes: ClassSet | string[];
  preprocess: PreprocessConfig;
  temperature: number;
  decision?: DecisionRule;
  volume_decisions?: { axial?: DecisionRule; other?: DecisionRule };
  prediction_sets?: ConformalThresholds | null;
  /** How much the evidence of each sequence counts in a study of several. */
  fusion?: { weights?: Record<string, number>; chosen_on?: string };
  /** Present if the bundle has a network that rejects images of anything but a head. */
  gate?: { preprocess: PreprocessConfig; threshold: number } | null;
  intended_use: string;
  files: Record<string, string>;
}

/** A bundle of any format, in the terms of the newest. */
export type LoadedInfo = BundleInfo & { classes: ClassSet };

export class Network {
  private constructor(
    readonly info: LoadedInfo,
    private readonly session: ort.InferenceSession,
    private readonly gate: ort.InferenceSession | null,
  ) {}

  /** `wasm` is the address of the runtime. One thread: more need special HTTP headers. */
  static async load(
    info: BundleInfo, model: Uint8Array, gate: Uint8Array | null, wasm?: string,
  ): Promise<Network> {
    const classes = classSetOf(info.classes);
    checkRules(info);
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = "error";
    if (wasm !== undefined) ort.env.wasm.wasmPaths = { wasm };
    if (info.gate && !gate) throw new Error("the model's gate is missing");
    const open = (graph: Uint8Array) => ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
    return new Network({ ...info, classes }, await open(model), gate && info.gate ? await open(gate) : null);
  }

  /** Throws `InputError` for a plane without information. */
  async classify(path: string, plane: Plane, stated: Stated): Promise<Classified<Prediction>> {
    const { preprocess: config, temperature, classes } = this.info;
    const prepared = preprocess(plane, config);
    const size = config.image_size;
    const image = new ort.Tensor("float32", normalize(prepared.pixels, config), [1, 1, size, size]);
    const outputs = this.session.outputNames;
    const { logits, cam, lesion, sequence } = await this.session.run(
      { image }, ["logits", "cam", ...["lesion", "sequence"].filter((name) => outputs.includes(name))],
    );
    const row = softmax(logits.data as Float32Array, temperature);
    const refusal = refusalOf(plane);
    const isHead = refusal === "" && await this.isHead(plane);
    const sequenceShares = sequence ? softmax(sequence.data as Float32Array, 1) : null;
    const predicted = sequenceShares && isHead ? predictedSequence([sequenceShares]) : null;
    const known = knownSequence(predicted, stated.sequence);
    const said = decide(row, thresholdsFor(this.info.decision, known), isHead, classes);
    const decided = refusal ? { ...said, reason: refusal } : said;
    const { decision, label, reason } = decided;
    const probabilities = named(row, classes);
    const rejected = decision === "rejected";
    const names = namesOf(classes);
    // Of a rejected image, and where nothing is found, there is nothing to point at.
    const nothing = rejected || (label !== null && label === classes.no_finding);
    const pointed = nothing ? null : label === null ? likeliestKind(row, classes) : names.indexOf(label);
    const { height, width } = plane;
    const result: Prediction = {
      path,
      ...decided,
      summary: summarize(decision, label, probabilities, reason, known, classes),
      tumor_probability: rejected ? null : findingProbability(row, classes),
      probabilities: rejected ? null : probabilities,
      prediction_set: predictionSet(row, this.info.prediction_sets, decision, classes),
      sequence: predicted,
      model: {
        name: this.info.name, version: this.info.version, sha256: this.info.files["model.onnx"],
        classes: namesOf(classes).join() === namesOf(BRAIN_TUMORS).join() ? null : classes,
      },
      notes: [...stated.notes, ...contradiction(predicted, stated.sequence)],
      heatmap: pointed === null ? null : explain(
        mapOf(lesion ?? cam, lesion ? 0 : pointed), (lesion ?? cam).dims[3], names[pointed], prepared.square, height, width,
      ),
    };
    return { result, sequenceShares };
  }

  private async isHead(plane: Plane): Promise<boolean> {
    const facts = this.info.gate;
    if (!this.gate || !facts) return true;
    const size = facts.preprocess.image_size;
    const pixels = normalize(preprocess(plane, facts.preprocess).pixels, facts.preprocess);
    const { head } = await this.gate.run({ image: new ort.Tensor("float32", pixels, [1, 1, size, size]) }, ["head"]);
    return Number(head.data[0]) >= facts.threshold;
  }
}

/** One map of several: that of a network that was trained with outlines stands for every kind of tumour. */
function mapOf(maps: ort.Tensor, row: number): Float32Array {
  const cells = maps.dims[2] * maps.dims[3];
  return (maps.data as Float32Array).slice(row * cells, (row + 1) * cells);
}
