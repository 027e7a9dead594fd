// A client of the Velesio API: plain fetch with a token.
export class VelesioClient {
  constructor(url, token) {
    this.url = url;
    this.headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  }

  async complete(prompt, fields = {}) {
    const answer = await this.post("/completion", { prompt, ...fields });
    return answer.choices[0].text;
  }

  async chat(messages, fields = {}) {
    const answer = await this.post("/chat/completions", { messages, ...fields });
    return answer.choices[0].message.content;
  }

  async *stream(prompt, fields = {}) {
    const answer = await this.send("/completion", { prompt, stream: true, ...fields });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let waiting = "", read = await reader.read(); !read.done; read = await reader.read()) {
      const frames = (waiting + read.value).split("\n\n");
      waiting = frames.pop();
      for (const frame of frames) {
        const data = frame.slice("data: ".length);
        if (data !== "[DONE]") yield JSON.parse(data).choices[0].text;
      }
    }
  }

  async post(path, body) {
    return (await this.send(path, body)).json();
  }

  async send(path, body) {
    const answer = await fetch(this.url + path, {
      method: "POST",
      headers: this.headers,
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error((await answer.json()).error.message);
    return answer;
  }
}
