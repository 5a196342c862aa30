/** The bundle in the browser: the same ONNX file as everywhere, run by onnxruntime-web. */
import * as ort from "onnxruntime-web";
import { checkRules, decide, type DecisionRule, predictionSet, type ConformalThresholds } from "./decision";
import { explain } from "./heatmap";
import { argmax, softmax } from "./postprocessing";
import { normalize, type Plane, preprocess, type PreprocessConfig } from "./preprocessing";
import { type Prediction, CLASSES } from "./types";

export interface BundleInfo {
  name: string;
  version: string;
  classes: string[];
  preprocess: PreprocessConfig;
  temperature: number;
  decision?: DecisionRule;
  prediction_sets?: ConformalThresholds | null;
  /** Where the bundle has a network that tells heads from anything else. */
  gate?: { preprocess: PreprocessConfig; threshold: number } | null;
  intended_use: string;
  files: Record<string, string>;
}

export class Network {
  private constructor(
    readonly info: BundleInfo,
    private readonly session: ort.InferenceSession,
    private readonly gate: ort.InferenceSession | null,
  ) {}

  /** `wasm` is where the runtime lies. One thread: pages need special headers for more. */
  static async load(
    info: BundleInfo, model: Uint8Array, gate: Uint8Array | null, wasm?: string,
  ): Promise<Network> {
    if (info.classes.join() !== CLASSES.join()) throw new Error(`unknown classes: ${info.classes}`);
    checkRules(info);
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = "error";
    if (wasm !== undefined) ort.env.wasm.wasmPaths = { wasm };
    if (info.gate && !gate) throw new Error("the model's gate is missing");
    const open = (graph: Uint8Array) => ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
    return new Network(info, await open(model), gate && info.gate ? await open(gate) : null);
  }

  /** Throws `InputError` for a plane without information. */
  async classify(path: string, plane: Plane): Promise<Prediction> {
    const { preprocess: config, temperature } = this.info;
    const prepared = preprocess(plane, config);
    const size = config.image_size;
    const image = new ort.Tensor("float32", normalize(prepared.pixels, config), [1, 1, size, size]);
    const taught = this.session.outputNames.includes("lesion");
    const { logits, cam, lesion } = await this.session.run(
      { image }, ["logits", "cam", ...(taught ? ["lesion"] : [])],
    );
    const probabilities = softmax(logits.data as Float32Array, temperature);
    const best = argmax(probabilities);
    const decided = decide(probabilities, this.info.decision, await this.isHead(plane), this.info.prediction_sets);
    // The map of a network that was taught by outlines stands for a tumour class's own.
    const [grid, row] = taught && CLASSES[best] !== "notumor" ? [lesion, 0] : [cam, best];
    const cells = grid.dims[2] * grid.dims[3];
    const map = (grid.data as Float32Array).slice(row * cells, (row + 1) * cells);
    const answer: Prediction = {
      path,
      ...decided,
      probabilities: Object.fromEntries(CLASSES.map((name, place) => [name, probabilities[place]])),
      prediction_set: decided.decision === "rejected" ? null : predictionSet(probabilities, this.info.prediction_sets),
      model: { name: this.info.name, version: this.info.version, sha256: this.info.files["model.onnx"] },
    };
    // Of a rejected picture, probabilities and heatmap mean nothing.
    if (decided.decision === "rejected") return { ...answer, probabilities: null };
    const { height, width } = plane;
    return { ...answer, heatmap: explain(map, grid.dims[3], CLASSES[best], prepared.square, height, width) };
  }

  private async isHead(plane: Plane): Promise<boolean> {
    const facts = this.info.gate;
    if (!this.gate || !facts) return true;
    const size = facts.preprocess.image_size;
    const seen = normalize(preprocess(plane, facts.preprocess).pixels, facts.preprocess);
    const { head } = await this.gate.run({ image: new ort.Tensor("float32", seen, [1, 1, size, size]) }, ["head"]);
    return Number(head.data[0]) >= facts.threshold;
  }
}
