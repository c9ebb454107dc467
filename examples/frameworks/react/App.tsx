import { ThumbwheelChoice, ThumbwheelThumbs, ThumbwheelWorkbench } from "@thumbwheel/sdk/react";
import { useState } from "react";
import { client, told } from "../feedback";
import { answer, pair, replies } from "../interactions";

export function App() {
  const [line, setLine] = useState("");
  const tell = (event: Parameters<typeof told>[0]) => setLine(told(event));
  const common = { client, onSubmit: tell, onUndo: tell, onError: tell };
  return (
    <>
      <h1>React</h1>
      <p>{answer.candidates[0].content}</p>
      <ThumbwheelThumbs {...common} interaction={answer} />
      <ThumbwheelChoice {...common} interaction={pair} />
      <ThumbwheelWorkbench {...common} interaction={replies} />
      <output>{line}</output>
    </>
  );
}
