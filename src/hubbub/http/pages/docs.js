// The page to try the HTTP API: reads the OpenAPI document and makes a form of each operation.
// Everything from the document or from an answer is set as text, never as markup.

const SCHEMA = "/api/v1/schema/openapi.json";
const METHODS = ["get", "post", "patch", "put", "delete"];
const token = document.getElementById("token");

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

// What a schema wants, after its references and alternatives are followed; null counts only when it is alone.
function resolve(schema, whole) {
  while (schema.$ref) schema = whole.components.schemas[schema.$ref.split("/").pop()];
  const some = (schema.oneOf ?? schema.anyOf)?.find((one) => one.type !== "null");
  return some ? resolve(some, whole) : schema;
}

function example(schema, whole) {
  const wanted = resolve(schema, whole);
  if ("default" in wanted) return wanted.default;
  if (wanted.enum) return wanted.enum[0];
  switch (wanted.type) {
    case "object":
      return Object.fromEntries(
        Object.entries(wanted.properties ?? {})
          .filter(([name]) => (wanted.required ?? []).includes(name))
          .map(([name, part]) => [name, example(part, whole)]),
      );
    case "array": return [];
    case "boolean": return false;
    case "integer": case "number": return wanted.minimum ?? 0;
    default: return "";
  }
}

function fieldsOf(schema, whole) {
  const wanted = resolve(schema, whole);
  const required = wanted.required ?? [];
  return Object.keys(wanted.properties ?? {}).map((name) => (required.includes(name) ? name : `${name}?`)).join(", ");
}

function parameterField(parameter) {
  const input = make("input", { name: parameter.name, required: parameter.required, autocomplete: "off" });
  const hint = make("span", { className: "hint", textContent: parameter.description ?? "" });
  const label = make("label", {}, `${parameter.name}${parameter.required ? "" : " (optional)"} `, hint, input);
  return { parameter, input, label };
}

function urlOf(path, fields) {
  const query = new URLSearchParams();
  for (const { parameter, input } of fields) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value !== "") query.set(parameter.name, input.value);
  }
  return query.size ? `${path}?${query}` : path;
}

async function send(method, url, body) {
  const headers = {};
  if (token.value.trim()) headers.Authorization = `Bearer ${token.value.trim()}`;
  if (body !== null) headers["Content-Type"] = "application/json";
  const response = await fetch(url, { method: method.toUpperCase(), headers, body });
  return { status: `${response.status} ${response.statusText}`, ok: response.ok, text: await response.text() };
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

// Whoever logs in on this page goes on with the token that came back.
function keepToken(text) {
  try { token.value = JSON.parse(text).accessToken ?? token.value; } catch { /* no JSON, no token */ }
}

function operation(path, method, described, whole) {
  const fields = (described.parameters ?? []).map(parameterField);
  const content = described.requestBody?.content["application/json"];
  const body = content
    ? make("textarea", { spellcheck: false, value: JSON.stringify(example(content.schema, whole), null, 2) })
    : null;
  const button = make("button", { textContent: "Send" });
  const status = make("p", { hidden: true });
  const output = make("pre", { hidden: true });
  const form = make("form", {}, make("p", { className: "hint", textContent: described.description ?? "" }));
  form.append(...fields.map((field) => field.label));
  if (body) form.append(make("label", {}, `Body: ${fieldsOf(content.schema, whole)}`, body));
  form.append(button, status, output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const answer = await send(method, urlOf(path, fields), body?.value ?? null);
      if (answer.ok) keepToken(answer.text);
      status.textContent = answer.status;
      status.className = answer.ok ? "" : "failed";
      output.textContent = pretty(answer.text);
    } catch (error) {
      status.textContent = `The request did not get through: ${error.message}`;
      status.className = "failed";
      output.textContent = "";
    } finally {
      button.disabled = false;
      status.hidden = false;
      output.hidden = output.textContent === "";
    }
  });
  const summary = make(
    "summary",
    {},
    make("span", { className: "method", textContent: method.toUpperCase() }),
    make("span", { className: "path", textContent: path }),
    make("span", { className: "words", textContent: described.summary ?? "" }),
  );
  return make("details", {}, summary, form);
}

function show(whole) {
  document.getElementById("title").textContent = `${whole.info.title} ${whole.info.version}: HTTP API`;
  document.getElementById("about").textContent = whole.info.description ?? "";
  const byTag = new Map();
  for (const [path, item] of Object.entries(whole.paths)) {
    for (const method of METHODS.filter((name) => name in item)) {
      const tag = item[method].tags?.[0] ?? "Other";
      byTag.set(tag, [...(byTag.get(tag) ?? []), operation(path, method, item[method], whole)]);
    }
  }
  const list = document.getElementById("operations");
  list.replaceChildren();
  for (const [tag, operations] of byTag) list.append(make("section", {}, make("h2", { textContent: tag }), ...operations));
}

try {
  const response = await fetch(SCHEMA);
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  show(await response.json());
} catch (error) {
  document.getElementById("operations").textContent = `The OpenAPI document cannot be loaded: ${error.message}`;
}
