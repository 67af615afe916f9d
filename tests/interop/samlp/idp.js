// An identity provider on Auth0's samlp, for tests: a password form, a session, one service provider at a time.
//   node idp.js MODULES CONFIG    CONFIG is JSON and read anew at every request:
//   { base, port, key, cert, people: { name: { password, attributes } }, sign, encrypt, nameid,
//     sp: { entity, acs, slo, signing, encryption }, binding }     certificates in PEM
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const { createRequire } = require('module');

const load = createRequire(process.argv[2] + '/');
const express = load('express');
const samlp = load('samlp');
const SessionParticipants = load('samlp/lib/sessionParticipants');

const settings = () => JSON.parse(fs.readFileSync(process.argv[3], 'utf8'));
const { base, port, key, cert } = settings();
const entity = base + '/metadata';
const sessions = new Map(); // cookie -> { user, participants }: samlp wants to know who took part
const questions = new Map();
const logouts = new Map();
const BINDINGS = {
  redirect: 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect',
  post: 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST',
};

const FORMATS = {
  persistent: 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent',
  transient: 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient',
  email: 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress',
  unspecified: 'urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified',
};
const CIPHERS = {
  'aes128-cbc': 'http://www.w3.org/2001/04/xmlenc#aes128-cbc',
  'aes256-cbc': 'http://www.w3.org/2001/04/xmlenc#aes256-cbc',
  'aes128-gcm': 'http://www.w3.org/2009/xmlenc11#aes128-gcm',
  'aes256-gcm': 'http://www.w3.org/2009/xmlenc11#aes256-gcm',
};

const escape = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const random = () => crypto.randomBytes(16).toString('hex');

function nameOf(user, kind, sp) {
  if (kind === 'email') return settings().people[user].attributes.mail[0];
  if (kind === 'transient') return '_' + random();
  if (kind === 'unspecified') return user;
  return crypto.createHash('sha256').update(`${user}!${sp}`).digest('hex');
}

function whoIs(request) {
  const cookie = /(?:^|; )samlp-idp=([0-9a-f]+)/.exec(request.headers.cookie || '');
  return (cookie && sessions.get(cookie[1])) || undefined;
}

// What samlp calls a profile mapper.
function mapperFor(user, kind, nameIdentifier) {
  const mapper = () => ({
    getClaims: () => settings().people[user].attributes,
    getNameIdentifier: () => ({ nameIdentifier, nameIdentifierFormat: FORMATS[kind] }),
  });
  mapper.prototype = {};
  mapper.metadata = [];
  return mapper;
}

function answer(request, response, next, question) {
  const { sign, encrypt, nameid, sp, binding } = settings();
  const { session } = question;
  const name = nameOf(session.user, nameid, sp.entity);
  const sessionIndex = '_' + random();
  session.participants.push({
    serviceProviderId: sp.entity, nameId: name, nameIdFormat: FORMATS[nameid], sessionIndex,
    serviceProviderLogoutURL: sp.slo, cert: sp.signing, binding: BINDINGS[binding],
  });
  const options = {
    issuer: entity, cert: fs.readFileSync(cert), key: fs.readFileSync(key),
    audience: sp.entity, recipient: sp.acs, destination: sp.acs,
    inResponseTo: question.id, RelayState: question.relayState,
    signatureAlgorithm: 'rsa-sha256', digestAlgorithm: 'sha256',
    signAssertion: sign !== 'response', signResponse: sign !== 'assertion',
    profileMapper: mapperFor(session.user, nameid, name), getUserFromRequest: () => ({ user: session.user }),
    getPostURL: (audience, dom, req, done) => done(null, sp.acs),
    sessionIndex, lifetimeInSeconds: 300, typedAttributes: true, includeAttributeNameFormat: true,
  };
  if (encrypt) {
    options.encryptionCert = sp.encryption;
    options.encryptionPublicKey = new crypto.X509Certificate(sp.encryption).publicKey.export({ type: 'spki', format: 'pem' });
    options.encryptionAlgorithm = CIPHERS[encrypt];
    options.disallowEncryptionWithInsecureAlgorithm = false;
    options.warnOnInsecureEncryptionAlgorithm = false;
  }
  // The request has been read already, and samlp would read it once more.
  request.query = {};
  request.body = {};
  samlp.auth(options)(request, response, next);
}

function ask(response, id) {
  response.send(`<!doctype html><title>Sign in</title><form method="post" action="${base}/password">
    <input name="username"><input name="password" type="password"><input type="hidden" name="question" value="${escape(id)}">
    <button>Sign in</button></form>`);
}

function begin(request, response, next, question) {
  const session = whoIs(request);
  if (session && !question.force) return answer(request, response, next, { ...question, session });
  const id = random();
  questions.set(id, question);
  ask(response, id);
}

function singleSignOn(request, response, next) {
  const { sp } = settings();
  const fields = request.method === 'POST' ? request.body : request.query;
  // An unsigned request is refused: a login also proves that samlgate signs with the key that it publishes.
  const signed = fields.Signature || /<[a-z]*:?Signature[ >]/.test(Buffer.from(fields.SAMLRequest || '', 'base64').toString());
  if (!signed) return response.status(400).send('the request is not signed');
  samlp.parseRequest(request, { signingCert: sp.signing, relayState: fields.RelayState }, (error, read) => {
    if (error || !read) return response.status(400).send(`refused: ${escape(error ? error.message : 'no request')}`);
    if (read.issuer !== sp.entity) return response.status(400).send(`unknown service provider ${escape(read.issuer)}`);
    begin(request, response, next, { id: read.id, relayState: fields.RelayState, force: read.forceAuthn === 'true' });
  });
}

// What samlp keeps between the messages of one logout; it would like a session of express for that.
const store = {
  save: (request, state, done) => { const id = random(); logouts.set(id, state); done(null, id); },
  load: (request, id, options, done) => {
    const state = logouts.get(id);
    if (options.destroy) logouts.delete(id);
    (done || options)(null, state);
  },
  update: (request, id, state, done) => { logouts.set(id, state); done(null, id); },
};

// Messages of a logout; without any, a logout that begins here.
function singleLogout(request, response, next) {
  const { sp, binding } = settings();
  const session = whoIs(request) || { participants: [] };
  request.body = request.body || {};
  samlp.logout({
    issuer: entity, cert: fs.readFileSync(cert), key: fs.readFileSync(key), deflate: true,
    signatureAlgorithm: 'rsa-sha256', digestAlgorithm: 'sha256',
    protocolBinding: BINDINGS[binding], destination: sp.slo,
    sessionParticipants: new SessionParticipants(session.participants), store,
    clearIdPSession: (done) => {
      for (const [cookie, known] of sessions) if (known === session) sessions.delete(cookie);
      done();
    },
  })(request, response, next);
}

const app = express();
app.use(express.urlencoded({ extended: false, limit: '1mb' }));
app.get('/sso', singleSignOn);
app.post('/sso', singleSignOn);
app.get('/slo', singleLogout);
app.post('/slo', singleLogout);
app.get('/unsolicited', (request, response, next) => begin(request, response, next, { relayState: request.query.RelayState || '' }));
app.post('/password', (request, response, next) => {
  const { username, password, question: id } = request.body;
  const person = settings().people[username];
  const question = questions.get(id);
  if (!question) return response.status(400).send('stale form');
  if (!person || person.password !== password) return ask(response, id);
  questions.delete(id);
  const cookie = random();
  const session = { user: username, participants: [] };
  sessions.set(cookie, session);
  response.setHeader('Set-Cookie', `samlp-idp=${cookie}; Path=/; HttpOnly`);
  answer(request, response, next, { ...question, session });
});
app.get('/metadata', (request, response) => {
  const certificate = fs.readFileSync(cert, 'utf8').replace(/-----[^-]+-----|\s/g, '');
  const service = (kind, binding, path) => `<md:${kind}Service Binding="${binding}" Location="${base}${path}"/>`;
  const services = (kind, path) => Object.values(BINDINGS).map((binding) => service(kind, binding, path)).join('');
  response.type('application/samlmetadata+xml').send(
    `<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="${entity}">` +
    '<md:IDPSSODescriptor WantAuthnRequestsSigned="true" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">' +
    '<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data>' +
    `<ds:X509Certificate>${certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>` +
    `${services('SingleLogout', '/slo')}${services('SingleSignOn', '/sso')}</md:IDPSSODescriptor></md:EntityDescriptor>`);
});
app.use((error, request, response, next) => { console.error(error); response.status(500).send(escape(error.message)); });
app.listen(port, '127.0.0.1');
